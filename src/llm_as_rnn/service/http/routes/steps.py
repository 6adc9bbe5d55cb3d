"""Steps: predictions, their outcomes, scores and spend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import Response, get, post, put
from litestar.params import QueryParameter, RequestBody

from llm_as_rnn.service.http.parts import Known, Service, needs
from llm_as_rnn.service.http.routes.common import After, Limit, PredictionId, SessionId, and_ok, named, problems
from llm_as_rnn.service.views import NewOutcome, NewPrediction, OutcomeView, PredictionView, ScoresView, StepView

TAGS = ["steps"]

OUTCOME = "/sessions/{session:str}/predictions/{prediction:str}/outcome"

LEARNED = "learned"


@post(
    "/sessions/{session:str}/predictions",
    opt=needs("predict"),
    status_code=200,
    responses=problems(404, 409, 422, 502),
    tags=TAGS,
)
async def predict(parts: Service, caller: Known, session: SessionId, data: RequestBody[NewPrediction]) -> PredictionView:
    """Predict the outcome of an observation.

    The same id with the same observation is the same prediction, and asks no model again; with another observation it
    is a conflict.
    """
    return await parts.sessions.predict(caller, session, data)


@get(
    "/sessions/{session:str}/predictions/{prediction:str}", opt=needs("read"), responses=problems(404), tags=TAGS
)
async def get_prediction(parts: Service, caller: Known, session: SessionId, prediction: PredictionId) -> StepView:
    """Give a prediction, what it was made of, and what came."""
    return await parts.sessions.prediction(caller, session, named(prediction))


@put(
    OUTCOME,
    opt=needs("learn"),
    status_code=202,
    responses=and_ok(problems(404, 409, 422), OutcomeView, 200, "It is learned, or settled otherwise."),
    response_description="It is kept, and will be learned.",
    tags=TAGS,
)
async def put_outcome(  # noqa: PLR0913, PLR0917 - a parameter each for what may be said
    parts: Service,
    caller: Known,
    session: SessionId,
    prediction: PredictionId,
    data: RequestBody[NewOutcome],
    wait: Annotated[float, QueryParameter(ge=0, le=3600, description="Seconds to wait for it to be learned.")] = 0.0,
) -> Response[OutcomeView]:
    """Tell the outcome of a prediction.

    It is durable when it is answered, and learned in the background in order of arrival. The same outcome twice is
    one. An outcome that was wrong is corrected by another one that names it in `replaces`.
    """
    name = named(prediction)
    view = await parts.sessions.tell(caller, session, name, data)
    if wait and view.status == "waiting":
        view = await parts.sessions.wait(caller, session, name, min(wait, parts.settings.longest_wait))
    settled = bool(wait) and view.status != "waiting"
    return Response(view, status_code=200 if settled else 202)


@get(OUTCOME, opt=needs("read"), responses=problems(404), tags=TAGS)
async def get_outcome(parts: Service, caller: Known, session: SessionId, prediction: PredictionId) -> OutcomeView:
    """Give the latest outcome of a prediction, and what was learned of it."""
    return await parts.sessions.outcome(caller, session, named(prediction))


@get("/sessions/{session:str}/steps", opt=needs("read"), responses=problems(404), tags=TAGS)
async def list_steps(
    parts: Service, caller: Known, session: SessionId, after: After = -1, limit: Limit = 100
) -> Sequence[StepView]:
    """List steps in order of time, a page at a time: those behind step number `after`."""
    return await parts.sessions.steps(caller, session, after, limit)


@get("/sessions/{session:str}/scores", opt=needs("read"), responses=problems(404), tags=TAGS)
async def get_scores(parts: Service, caller: Known, session: SessionId) -> ScoresView:
    """Give how good the predictions of a session were, over time."""
    return await parts.sessions.scores(caller, session)


@get("/spend", opt=needs("read"), responses=problems(), tags=["spend"])
async def get_spend(
    parts: Service,
    caller: Known,
    days: Annotated[int, QueryParameter(ge=1, le=3660, description="How many days back.")] = 30,
) -> Any:
    """Give what the tenant used, day by day."""
    return await parts.sessions.spend(caller, days)


ROUTES = (predict, get_prediction, put_outcome, get_outcome, list_steps, get_scores, get_spend)
