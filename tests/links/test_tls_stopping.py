"""A switch that stops with TLS on its link: what it took is answered, and TLS is ended in order."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from tests.client import connected
from tests.links.conftest import locked
from tests.pki import Ca, client_context
from tests.process import running
from tests.traffic import add_load_cards, code, load_card, purchase


async def test_a_stopping_switch_answers_and_ends_tls(quick_path: Path) -> None:
    """An answer under way still comes, the end is TLS's own, and a handshake under way is ended."""
    ca = Ca("ca")
    file = ca.file(quick_path)
    ca.signed(quick_path, "switch", names=("IP:127.0.0.1",))
    ca.signed(quick_path, "peer")
    tls = {"certificate": "switch.pem", "key": "switch.key", "client_ca": file.name}
    card = load_card(0)
    with running(
        quick_path, **{f"links__0__tls__{key}": one for key, one in tls.items()}
    ) as switch:
        await asyncio.to_thread(add_load_cards, switch.database_url, 1)
        context = client_context(file, quick_path / "peer.pem")
        async with (
            connected(switch.port(), tls=context) as client,
            connected(switch.port()) as slow,
        ):
            async with locked(switch, card):
                answer = client.send(purchase(card))
                await asyncio.sleep(0.2)
                os.kill(switch.pid, signal.SIGTERM)
                await slow.ended()
            assert code(await answer) == "00"
            await client.ended()
        assert await asyncio.to_thread(switch.wait) == 0
        line = switch.lines("tls_refused", peer=slow.address)[0]
        assert line["problem"] == "the switch is stopping"
        assert [one["outcome"] for one in switch.lines("message")] == ["sent"]
        assert not switch.lines("tls_broken")
        assert not switch.lines("fault")
        assert switch.error_file.read_text() == ""
