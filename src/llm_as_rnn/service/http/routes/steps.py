"""Steps: predictions, their outcomes, scores and spend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from litestar import Response, get, post, put
from litestar.params import QueryParameter, RequestBody

from llm_as_rnn.service.http.parts import Asker, needs
from llm_as_rnn.service.http.routes.common import After, Limit, PredictionId, SessionId, and_ok, named, problems
from llm_as_rnn.service.views import (
    NewOutcome,
    NewPrediction,
    OutcomeView,
    PredictionView,
    ScoresView,
    SpendView,
    StepView,
)

TAGS = ["steps"]

OUTCOME = "/sessions/{session:str}/predictions/{prediction:str}/outcome"


@post(
    "/sessions/{session:str}/predictions",
    opt=needs("predict"),
    status_code=200,
    responses=problems(404, 409, 422, 502),
    tags=TAGS,
)
async def predict(by: Asker, session: SessionId, data: RequestBody[NewPrediction]) -> PredictionView:
    """Predict the outcome of an observation.

    The same id with the same observation is the same prediction, and asks no model again, unless that gave no answer
    and no outcome was told; with another observation it is a conflict.
    """
    return await by.sessions.predict(by.caller, session, data)


@get("/sessions/{session:str}/predictions/{prediction:str}", opt=needs("read"), responses=problems(404), tags=TAGS)
async def get_prediction(by: Asker, session: SessionId, prediction: PredictionId) -> StepView:
    """Give a prediction, what it was made of, and what came."""
    return await by.sessions.prediction(by.caller, session, named(prediction))


@put(
    OUTCOME,
    opt=needs("learn"),
    status_code=202,
    responses=and_ok(problems(404, 409, 422), OutcomeView, 200, "It is learned, or settled otherwise."),
    response_description="It is kept, and will be learned.",
    tags=TAGS,
)
async def put_outcome(
    by: Asker,
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
    view = await by.sessions.tell(by.caller, session, name, data)
    if wait and view.status == "waiting":
        view = await by.sessions.wait(by.caller, session, name, min(wait, by.parts.settings.longest_wait))
    settled = bool(wait) and view.status != "waiting"
    return Response(view, status_code=200 if settled else 202)


@get(OUTCOME, opt=needs("read"), responses=problems(404), tags=TAGS)
async def get_outcome(by: Asker, session: SessionId, prediction: PredictionId) -> OutcomeView:
    """Give the latest outcome of a prediction, and what was learned of it."""
    return await by.sessions.outcome(by.caller, session, named(prediction))


@get("/sessions/{session:str}/steps", opt=needs("read"), responses=problems(404), tags=TAGS)
async def list_steps(
    by: Asker,
    session: SessionId,
    after: After = -1,
    limit: Limit = 100,
    only: Annotated[
        Literal["waiting", "learned", "given_up"] | None,
        QueryParameter(name="state", description="Only those of which this became."),
    ] = None,
) -> Sequence[StepView]:
    """List steps in order of time, a page at a time: those behind step number `after`."""
    return await by.sessions.steps(by.caller, session, after, limit, only)


@get("/sessions/{session:str}/scores", opt=needs("read"), responses=problems(404), tags=TAGS)
async def get_scores(by: Asker, session: SessionId) -> ScoresView:
    """Give how good the predictions of a session were, over time."""
    return await by.sessions.scores(by.caller, session)


@get("/spend", opt=needs("read"), responses=problems(), tags=["spend"])
async def get_spend(
    by: Asker,
    days: Annotated[int, QueryParameter(ge=1, le=3660, description="How many days back.")] = 30,
) -> Sequence[SpendView]:
    """Give what the tenant used, day by day."""
    return await by.sessions.spend(by.caller, days)


ROUTES = (predict, get_prediction, put_outcome, get_outcome, list_steps, get_scores, get_spend)
