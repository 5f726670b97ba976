"""Arms a frame's wake-ups again, in case a crash came before they were armed."""

from __future__ import annotations

from .activation import Activation
from .ids import timer_name
from .ports import Ports
from .state import NEVER, Frame, RunState


async def rearm_wake_ups(activation: Activation, ports: Ports) -> None:
    """Arm the timers that the frame waits for, if its mail may have been delivered before."""
    if not activation.redelivered:
        return
    current = activation.live.state.frames.get(activation.frame.id)
    if current is not None:
        await _arm(activation.live.id, current, ports)


async def arm_wake_ups(state: RunState, ports: Ports) -> None:
    """Arm all timers that the frames of a run wait for. Repeatable. Raises Interrupted."""
    for frame in state.frames.values():
        if not frame.done:
            await _arm(state.id, frame, ports)


async def _arm(run: str, frame: Frame, ports: Ports) -> None:
    for key, slot in frame.slots.items():
        if 0 < slot.wake_at < NEVER:
            name = f"{key}~{slot.attempts}" if slot.kind == "step" else key
            await ports.arm_wake(timer_name(run, frame.id, name), slot.wake_at, run, frame.id, key)
