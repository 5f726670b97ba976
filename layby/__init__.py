"""Durable networks of AI agents on NATS that pull over and wait for a human."""

from .actors.agent import Agent, AgentContext, tool_called
from .actors.network import Network
from .actors.router import Done, Route, RoutingAgent
from .actors.turn import CallRecord, NetworkResult, TurnResult
from .actors.workflow import WorkflowStep as Step
from .app import App
from .runtime.errors import (
    AskTimedOut,
    LaybyError,
    MaxTurns,
    NonRetriableError,
    QuestionLimit,
    RetryAfter,
    StepFailed,
)
from .runtime.retry import Retry
from .runtime.step import Answer
from .tools.context import ToolContext
from .tools.errors import ToolError
from .tools.tool import Tool, tool

__all__ = [
    "Agent",
    "AgentContext",
    "Answer",
    "App",
    "AskTimedOut",
    "CallRecord",
    "Done",
    "LaybyError",
    "MaxTurns",
    "Network",
    "NetworkResult",
    "NonRetriableError",
    "QuestionLimit",
    "RetryAfter",
    "Retry",
    "Route",
    "RoutingAgent",
    "Step",
    "StepFailed",
    "Tool",
    "ToolContext",
    "ToolError",
    "TurnResult",
    "tool",
    "tool_called",
]
