"""Arms a frame's wake-ups again where a crash may have come before they were armed."""

from __future__ import annotations

from .activation import Activation
from .ids import timer_name
from .services import Services
from .state import NEVER


async def rearm(activation: Activation, services: Services) -> None:
    """Arm what the frame of an activation waits for, where its mail came before."""
    if not activation.redelivered:
        return
    run, frame = activation.live.id, activation.frame
    current = activation.live.state.frames.get(frame.id)
    for key, slot in (current.slots if current else {}).items():
        if 0 < slot.wake_at < NEVER:
            name = f"{key}~{slot.attempts}" if slot.kind == "step" else key
            await services.arm_wake(
                timer_name(run, frame.id, name), slot.wake_at, run, frame.id, key
            )
