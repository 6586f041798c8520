"""What happens in a battle: begin, go on, ask again, stop, vote.

This is the one place where the ledger, the pairing and the live turns meet. Routes call it; it knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence

from palaestra.arena.pairing import Matchmaker
from palaestra.arena.settings import ArenaSettings
from palaestra.arena.turns import Ask, LiveTurn
from palaestra.errors import InputError, LedgerError
from palaestra.schema import Message
from palaestra.store.entries import Answer, BattleState, Choice, Turn
from palaestra.store.ledger import Ledger

_SAVE_EVERY_S = 1.0
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""What some database or model cannot be given: NUL, and half of a surrogate pair."""

_NOT_A_FAULT = {"cancelled", "refused", "empty"}
"""Failures that do not speak against the endpoint: we stopped it, or it did not like this conversation."""

_log = logging.getLogger(__name__)


class BusyError(LedgerError):
    """No room for another answer now. 503 when the arena is full, 429 when this voter has one running."""

    status = 503


class ImpatientError(BusyError):
    """This voter's earlier answers are still being written."""

    status = 429


class PromptError(LedgerError, InputError):
    """A prompt that cannot be sent."""

    status = 422


class PromptTooLongError(PromptError):
    """A prompt above the limit."""

    status = 413


class Battles:
    """Every battle of this arena.

    Args:
        settings: limits and pace.
        ledger: where everything is written.
        matchmaker: who meets whom.
        ask: asks a model.
    """

    def __init__(self, settings: ArenaSettings, ledger: Ledger, matchmaker: Matchmaker, ask: Ask) -> None:
        self.settings = settings
        self.ledger = ledger
        self.matchmaker = matchmaker
        self.live: dict[str, LiveTurn] = {}
        self._ask = ask
        self._voters: Counter[str] = Counter()
        self._unrecorded: set[str] = set()

    async def begin(self, voter: str, prompt: str) -> Turn:
        """Draw a pair and ask both.

        Raises:
            PromptError, BusyError: the prompt cannot be sent, or there is no room, or nobody to answer.
        """
        text = self._checked(prompt)
        pairing = self.matchmaker.draw()
        if pairing is None:
            raise BusyError("Fewer than two models are answering at the moment. Try again in a minute.")
        return await self._answer(voter, lambda: self.ledger.start_battle(voter, pairing, text))

    async def go_on(self, voter: str, turn_id: str, prompt: str) -> Turn:
        """Ask both models the next question of the same conversation.

        Raises:
            PromptError, BusyError, NotFoundError, ConflictError: see `Ledger.add_turn`.
        """
        text = self._checked(prompt)
        return await self._answer(
            voter, lambda: self.ledger.add_turn(turn_id, voter, text, most=self.settings.most_turns)
        )

    async def ask_again(self, voter: str, turn_id: str) -> Turn:
        """Ask both models the last question again; the former answers stay in the ledger.

        Raises:
            BusyError, NotFoundError, ConflictError: see `Ledger.regenerate`.
        """
        return await self._answer(voter, lambda: self.ledger.regenerate(turn_id, voter))

    async def stop(self, voter: str, turn_id: str) -> str:
        """Stop a turn that is being answered; returns the state in which it ended.

        Raises:
            NotFoundError: no such turn of this voter.
        """
        turn = await asyncio.to_thread(self.ledger.turn, turn_id, voter)
        live = self.live.get(turn_id)
        return await live.stop() if live else ended_state(turn)

    async def vote(self, voter: str, turn_id: str, choice: Choice) -> BattleState:
        """Record a vote on the answers of a turn. When this returns, it is on disk.

        Raises:
            NotFoundError, ConflictError: see `Ledger.vote`.
        """
        return await asyncio.to_thread(self.ledger.vote, turn_id, voter, choice)

    async def save_progress(self) -> None:
        """Write down, now and then and for ever, how far unfinished answers have come. Run it as a task."""
        while True:
            await asyncio.sleep(_SAVE_EVERY_S)
            try:
                await self._save()
            except Exception:  # noqa: BLE001 - one answer that cannot be saved must not end the saving of the others
                _log.exception("unfinished answers could not be saved; they are tried again in a second")

    async def _save(self) -> None:
        grown = [(side, text) for live in self.live.values() for side, text in live.unsaved()]
        if grown:
            await asyncio.to_thread(self.ledger.save_progress, [(side.answer.id, text) for side, text in grown])
        for side, text in grown:
            side.saved = text
        lost = frozenset(self._unrecorded)
        if lost:
            await asyncio.to_thread(self.ledger.mark_interrupted, lost)
            self._unrecorded -= lost

    async def close(self) -> None:
        """Stop every live turn; their answers are kept as interrupted."""
        await asyncio.gather(*(live.stop("interrupted") for live in list(self.live.values())))

    def _checked(self, prompt: str) -> str:
        text = prompt.strip()
        if not text:
            raise PromptError("The message is empty. Write something for the models to answer.")
        if _NO_TEXT.search(text):
            raise PromptError("The message holds a character that is no text, such as NUL. Remove it, and send again.")
        longest = self.settings.longest_prompt
        if len(text) > longest:
            raise PromptTooLongError(
                f"The message has {len(text):,} characters; at most {longest:,} can be sent. Shorten it."
            )
        return text

    async def _answer(self, voter: str, write: Callable[[], BattleState]) -> Turn:
        """Take a seat among the live turns, write the turn down, and have it answered."""
        if self._voters[voter] >= self.settings.most_live_each:
            raise ImpatientError("Your earlier answers are still being written. Stop them, or wait for them to end.")
        if self._voters.total() >= self.settings.most_live:
            raise BusyError("The arena is full at the moment. Try again in a minute.")
        self._voters[voter] += 1
        try:
            battle = await asyncio.to_thread(write)
        except BaseException:
            self._release(voter)
            raise
        turn = battle.turns[-1]
        histories = (_history(battle, "a"), _history(battle, "b"))
        live = LiveTurn(turn, voter, histories, settings=self.settings, ask=self._ask, record=self._record)
        self.live[turn.id] = live
        live.task.add_done_callback(lambda _: self._forget(live))
        return turn

    def _forget(self, live: LiveTurn) -> None:
        """A turn has ended. One whose end could not be written must not stay unfinished for ever."""
        self.live.pop(live.turn.id, None)
        self._release(live.voter)
        if not live.recorded:
            self._unrecorded.add(live.turn.id)

    def _release(self, voter: str) -> None:
        self._voters[voter] -= 1
        if not self._voters[voter]:
            del self._voters[voter]

    async def _record(self, finished: Sequence[Answer]) -> None:
        await asyncio.to_thread(self.ledger.finish, finished)
        for answer in finished:
            if answer.error is None or answer.error.kind not in _NOT_A_FAULT:
                self.matchmaker.report(answer.model, answered=answer.error is None)


def ended_state(turn: Turn) -> str:
    """The state of a turn that is not being answered any more, as the browser is told it."""
    states = {turn.a.state, turn.b.state}
    if states == {"complete"}:
        return "done"
    for state in ("failed", "stopped", "interrupted"):
        if state in states:
            return state
    return "interrupted"


def _history(battle: BattleState, side: str) -> list[Message]:
    """What one side's model is sent: its own conversation so far, and the newest prompt."""
    messages: list[Message] = []
    for turn in battle.turns:
        messages.append(Message.of("user", turn.prompt))
        answer: Answer = getattr(turn, side)
        if answer.text:
            messages.append(Message.of("assistant", answer.text))
    return messages
