"""An MCP server for the orders of a shop, over standard streams. Layby starts it; see `app.py`.

It knows nothing about Layby. `cancel_order` asks a person for input, which the protocol allows
since 2026-07-28: Layby parks the run until somebody has answered.
"""

from __future__ import annotations

from typing import Annotated, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver import Elicit, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel

server = MCPServer("orders")
ORDERS = {
    "1001": {"item": "Kettle", "price": "39.00", "status": "shipped"},
    "1002": {"item": "Toaster", "price": "25.00", "status": "open"},
}


class Refund(BaseModel):
    """How a customer gets the money back."""

    by: Literal["card", "voucher"]


async def ask_refund() -> Elicit[Refund]:
    """What a person must decide before an order is cancelled."""
    return Elicit("How does the customer get the money back?", Refund)


@server.tool()
async def find_order(order: str) -> dict[str, str]:
    """Look an order up."""
    if order not in ORDERS:
        raise ToolError(f"there is no order {order}")
    return ORDERS[order]


@server.tool()
async def cancel_order(order: str, refund: Annotated[Refund, Resolve(ask_refund)]) -> str:
    """Cancel an order that is still open."""
    found = await find_order(order)
    if found["status"] != "open":
        raise ToolError(f"order {order} is {found['status']}: it cannot be cancelled")
    return f"Order {order} was cancelled; {found['price']} go back by {refund.by}."


if __name__ == "__main__":
    server.run("stdio")
