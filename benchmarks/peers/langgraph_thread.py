"""LangGraph with ChatOpenAI: a thread for each stream, kept by a checkpointer and trimmed to a budget."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import harness
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.messages.utils import count_tokens_approximately, trim_messages
from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[harness.Begin]:
    """Give a graph of one node; what came is added to the thread as the user's next message."""
    model = ChatOpenAI(model=harness.MODEL, base_url=url, api_key=harness.KEY, temperature=0.0, max_tokens=16)

    async def ask(state: MessagesState) -> dict[str, Any]:
        kept = trim_messages(
            state["messages"],
            strategy="last",
            token_counter=count_tokens_approximately,
            max_tokens=harness.BUDGET,
            start_on="human",
        )
        return {"messages": [await model.ainvoke([SystemMessage(harness.INSTRUCTIONS), *kept])]}

    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    graph = builder.compile(checkpointer=InMemorySaver())

    async def begin(name: str) -> harness.Step:
        config: RunnableConfig = {"configurable": {"thread_id": name}}

        async def step(question: str, label: str, tell: harness.Tell) -> None:
            state = await graph.ainvoke({"messages": [HumanMessage(question)]}, config)
            tell(state["messages"][-1].content)
            await graph.aupdate_state(config, {"messages": [HumanMessage(f"It was: {label}")]})

        return step

    yield begin


if __name__ == "__main__":
    harness.run(connect)
