"""Arms a frame's wake-ups again, in case a crash came before they were armed."""

from __future__ import annotations

from .activation import Activation
from .ids import timer_name
from .ports import Ports
from .state import NEVER


async def rearm_wake_ups(activation: Activation, ports: Ports) -> None:
    """Arm the timers that the frame waits for, if its mail may have been delivered before."""
    if not activation.redelivered:
        return
    run, frame = activation.live.id, activation.frame
    current = activation.live.state.frames.get(frame.id)
    for key, slot in (current.slots if current else {}).items():
        if 0 < slot.wake_at < NEVER:
            name = f"{key}~{slot.attempts}" if slot.kind == "step" else key
            await ports.arm_wake(timer_name(run, frame.id, name), slot.wake_at, run, frame.id, key)
