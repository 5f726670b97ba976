"""The one table of the names in our spans.

Those under `gen_ai.` are of OpenTelemetry's semantic conventions for generative AI, release 0.1.0,
which are still in development; those about pauses are only proposed there. Those under `layby.` are
our own.
"""

from __future__ import annotations

from typing import Final

SCOPE: Final = "layby"
"""The instrumentation scope of our spans."""

# What is done, and by whom.
OPERATION: Final = "gen_ai.operation.name"
WORKFLOW: Final = "invoke_workflow"
AGENT: Final = "invoke_agent"
CHAT: Final = "chat"
TOOL: Final = "execute_tool"
STEP: Final = "step"
SEND: Final = "send"
"""The operations: the first words of the spans' names."""
AGENT_NAME: Final = "gen_ai.agent.name"
CONVERSATION: Final = "gen_ai.conversation.id"
ERROR: Final = "error.type"

# A request to a model.
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
MAX_TOKENS: Final = "gen_ai.request.max_tokens"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE: Final = "gen_ai.usage.cache_write.input_tokens"

# A tool.
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_CALL: Final = "gen_ai.tool.call.id"
TOOL_TYPE: Final = "gen_ai.tool.type"

# Contents: only if they are asked for.
SYSTEM: Final = "gen_ai.system_instructions"
INPUT: Final = "gen_ai.input.messages"
OUTPUT: Final = "gen_ai.output.messages"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"

# Waiting, and going on.
PAUSED: Final = "gen_ai.agent.paused"
RESUMED: Final = "gen_ai.agent.resumed"
"""The events."""
PAUSE_ID: Final = "gen_ai.agent.pause.id"
PAUSE_REASON: Final = "gen_ai.agent.pause.reason"
RESUMED_FROM: Final = "gen_ai.agent.resumed_from.id"
RESUMED_TYPE: Final = "gen_ai.agent.resumed_from.type"
ROLE: Final = "layby.question.role"
DEADLINE: Final = "layby.question.deadline"
RESOLUTION: Final = "layby.question.resolution"
WAITED: Final = "layby.question.seconds"
UNTIL: Final = "layby.wait.until"
RELATION: Final = "layby.link.relationship"
RESUME_ORIGIN: Final = "resume_origin"

# What Layby knows besides.
RUN: Final = "layby.run.id"
TICKET: Final = "layby.ticket"
RUN_WORKFLOW: Final = "layby.workflow"
PARENT_RUN: Final = "layby.parent.run.id"
SEGMENT: Final = "layby.segment"
OUTCOME: Final = "layby.outcome"
BLOCKED: Final = "layby.blocked"
STEP_KEY: Final = "layby.step"

# An event that a run or a client sends.
MESSAGING: Final = "messaging.system"
NATS: Final = "nats"
MESSAGING_TYPE: Final = "messaging.operation.type"
MESSAGING_NAME: Final = "messaging.operation.name"
PUBLISH: Final = "publish"
DESTINATION: Final = "messaging.destination.name"
