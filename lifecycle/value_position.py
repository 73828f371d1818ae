"""Value positioning: two blind answers that must agree before design (FND-03, FND-04). Pure."""

from pydantic import BaseModel, ConfigDict

from contracts.commands import AnswerPosition, Stance
from contracts.contract import Role
from contracts.errors import TermsError, TransitionError
from contracts.events import Event, EventType

VOICES = (Role.UNIT_HEAD, Role.GROUP_MANAGEMENT)


class ValuePosition(BaseModel):
    """Answers of the current round; nobody sees the other's before both are in."""

    model_config = ConfigDict(frozen=True)

    margin_bet: bool
    """Whether the heaviest indicator of a bet is a margin gain, which no cost centre controls."""
    round: int = 1
    answers: dict[Role, AnswerPosition] = {}
    agreed: Stance | None = None

    def missing(self) -> list[str]:
        """The voices still to be heard in this round."""
        return [voice.value for voice in VOICES if voice not in self.answers]

    def reopened(self) -> "ValuePosition":
        """A new round, asked again after a long pause."""
        return ValuePosition(margin_bet=self.margin_bet, round=self.round + 1)


def answer(position: ValuePosition, command: AnswerPosition) -> tuple[ValuePosition, list[Event]]:
    """Take one answer; with the second one the round ends, agreed or not.

    Raises:
        TransitionError: already agreed, no voice in this, or this voice has answered this round.
        TermsError: the stance is `other` without saying what, or the other way round.
    """
    if position.agreed:
        raise TransitionError(f"the value position is agreed: {position.agreed.value}")
    if command.role not in VOICES:
        raise TransitionError(
            f"found an answer as {command.role.value}, expected {' or '.join(VOICES)}"
        )
    if command.role in position.answers:
        raise TransitionError(
            f"{command.role.value} has answered in round {position.round}; "
            f"still waiting for {', '.join(position.missing())}"
        )
    if (command.stance is Stance.OTHER) is not (command.other is not None):
        raise TermsError(
            f"found the stance {command.stance.value} and other {command.other!r}, "
            "expected `other` to say what exactly where the stance is other"
        )
    answers = position.answers | {command.role: command}
    heard = command.makes(
        EventType.POSITION_ANSWERED, round=position.round, role=command.role.value
    )
    if len(answers) < len(VOICES):
        return position.model_copy(update={"answers": answers}), [heard]

    stances = {role.value: given.stance.value for role, given in answers.items()}
    obstacle = _obstacle(position, list(answers.values()))
    if obstacle:
        disagreed = command.makes(
            EventType.POSITION_DISAGREED, round=position.round, stances=stances, why=obstacle
        )
        return position.reopened(), [heard, disagreed]
    agreed = command.makes(
        EventType.POSITION_AGREED,
        round=position.round,
        stance=command.stance.value,
        other=command.other,
        assessed_by={role.value: given.assessed_by for role, given in answers.items()},
    )
    update = {"answers": answers, "agreed": command.stance}
    return position.model_copy(update=update), [heard, agreed]


def _obstacle(position: ValuePosition, answers: list[AnswerPosition]) -> str | None:
    first, second = answers
    if (first.stance, first.other) != (second.stance, second.other):
        return "the two answers differ"
    exception = first.margin_exception and second.margin_exception
    if first.stance is Stance.COST_CENTRE and position.margin_bet and not exception:
        return "a cost centre is not bet on margin gains unless both sign the exception"
    return None
