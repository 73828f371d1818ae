"""A story to show and to test with: one engagement played on a test clock, as its contract says.

It is played through the same desk that people use, from the contract alone: who signs, how long a
clock runs and what is measured all come from the document.
"""

from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from contracts.calendar import BusinessCalendar, Period, add_period
from contracts.commands import (
    AcceptMilestone,
    AddReading,
    AnswerPosition,
    CloseEngagement,
    CompleteStep,
    Decide,
    Outcome,
    RejectMilestone,
    Resume,
    Stance,
    SubmitEvidence,
)
from contracts.contract import Bet, BetIndicator, Contract, Milestone, Role, SettlementWindow
from contracts.errors import EngagementError
from contracts.setting import ClockKind
from contracts.step_plan import Lead, Step
from tollkeeper.desk import Desk

WORKDAY_MINUTES = 480
CLIENT_DAYS = 2
"""Working days a client step takes in the story, but for the one that is late."""

REACHED = {"met": Decimal("1.25"), "missed": Decimal("-0.1"), "partly": Decimal("0.625")}
"""How far an indicator comes from its baseline to its target, in the end."""

ENOUGH = 10_000
"""Items that each reading is measured over, above every minimum sample of the catalogue."""

SHELVED_FOR = Period(months=7)
"""Longer than the client's material stays valid."""


class Story:
    """Plays an engagement; `moment` is where its clock stands."""

    def __init__(self, desk: Desk, engagement_id: str, contract: Contract) -> None:
        self.desk = desk
        self.id = engagement_id
        self.contract = contract
        self.calendar: BusinessCalendar = contract.working_calendar()
        self.moment = self._nine_o_clock(contract.effective_on)
        self.refusals: list[str] = []
        self._commands = count(1)

    # The two stories.

    async def value_bet(self) -> None:
        """From the signed contract to the closed account: one indicator met, one missed, one partly."""
        await self.opened_twice()
        await self.positions_disagree_then_agree()
        await self.steps_done(self.contract.micro_consulting.plan.steps)
        await self.refused_before_proceed()
        await self.decided(Outcome.REWORK_ONCE)
        await self.reworked()
        await self.proceeded()
        await self.milestones_delivered()
        await self.value_measured()
        await self.closed()

    async def shelved_and_resumed(self) -> None:
        """The client is not convinced, puts it away, and takes it up again half a year later."""
        await self.opened_twice()
        await self.positions_agree()
        await self.steps_done(self.contract.micro_consulting.plan.steps)
        await self.shelved()
        await self.resumed()
        await self.positions_agree()
        await self.proceeded()

    # Their parts.

    async def opened_twice(self) -> None:
        """The second time finds the first."""
        by = self._who(Role.DELIVERY_LEAD)
        for _ in range(2):
            await self.desk.open(self.id, self.contract, ClockKind.TEST, self.moment, by)

    async def positions_disagree_then_agree(self) -> None:
        await self._position(Stance.COST_CENTRE, Stance.PROFIT_CENTRE)
        await self.positions_agree()

    async def positions_agree(self) -> None:
        await self._position(Stance.PROFIT_CENTRE, Stance.PROFIT_CENTRE)

    async def steps_done(self, steps: Sequence[Step]) -> None:
        """The second client step takes long enough to be reminded of."""
        client_steps = [step for step in steps if step.lead is Lead.CLIENT]
        patience = self.contract.micro_consulting.waiting
        for step in steps:
            if step.lead is Lead.CONSULTANT:
                days, by = -(-step.minutes // WORKDAY_MINUTES), self._who(Role.EXPERT)
            elif step is client_steps[1]:
                days, by = patience.remind_after + 2, self._who(Role.BUSINESS_LEAD)
            else:
                days, by = CLIENT_DAYS, self._who(Role.BUSINESS_LEAD)
            await self._working_days(days)
            await self._micro(
                "complete_step", CompleteStep(**self._by(by), step=step.id, minutes=step.minutes)
            )

    async def refused_before_proceed(self) -> None:
        """Nothing of the project can be delivered, let alone billed, before the decision (INV-05)."""
        try:
            await self._hand_in(self.contract.milestones[0])
        except EngagementError as refused:
            self.refusals.append(str(refused))

    async def decided(self, outcome: Outcome) -> None:
        """Business signs first, IT a day later; one signature decides nothing."""
        for role in (Role.BUSINESS_LEAD, Role.IT_LEAD):
            await self._working_days(1)
            reason = "agreed in the steering meeting"
            signature = Decide(
                **self._by(self._who(role)), role=role, outcome=outcome, reason=reason
            )
            await self._micro("decide", signature)

    async def proceeded(self) -> None:
        await self.decided(Outcome.PROCEED)

    async def shelved(self) -> None:
        await self.decided(Outcome.SHELVE)

    async def reworked(self) -> None:
        """The free rework takes three quarters of its agreed effort."""
        plan = self.contract.micro_consulting.plan
        steps = plan.from_step(plan.rework_from)
        for step in steps:
            await self._working_days(1)
            done = CompleteStep(
                **self._by(self._who(Role.EXPERT)),
                step=step.id,
                minutes=plan.rework_minutes * 3 // 4 // len(steps),
            )
            await self._micro("complete_step", done)

    async def milestones_delivered(self) -> None:
        """The first accepted, then one deemed accepted, one rejected and handed in again."""
        ends = ["accepted", "deemed", "rejected"]
        for milestone in self.contract.milestones:
            end = ends.pop(0) if ends else "accepted"
            if end == "deemed" and not milestone.acceptance.deemed:
                end = "accepted"
            await self._working_days(25)
            await self._hand_in(milestone)
            if end == "rejected":
                await self._working_days(3)
                reasons = ("two acceptance tests fail",)
                rejection = RejectMilestone(**self._by(self._who(Role.ACCEPTOR)), reasons=reasons)
                await self._ask("reject", rejection, "milestone", milestone.id)
                await self._working_days(8)
                await self._hand_in(milestone)
            if end == "deemed":
                await self._working_days(milestone.acceptance.working_days + 1)
            else:
                await self._working_days(3)
                acceptance = AcceptMilestone(**self._by(self._who(Role.ACCEPTOR)))
                await self._ask("accept", acceptance, "milestone", milestone.id)

    async def value_measured(self) -> None:
        """Readings each month to the first window, then at the end of each settlement window."""
        started_on = self.calendar.local_date(self.moment)
        for bet in self.contract.bets:
            for window in bet.windows:
                ends_on = add_period(started_on, window.after)
                if isinstance(window, SettlementWindow):
                    await self.measured(bet, window.settles, started_on, ends_on)
                else:
                    for month in range(1, window.after.months + 1):
                        read_on = add_period(started_on, Period(months=month))
                        everything = [terms.indicator for terms in bet.indicators]
                        await self.measured(bet, everything, started_on, read_on)
        await self._working_days(1)

    async def closed(self) -> None:
        await self._working_days(5)
        close = CloseEngagement(
            **self._by(self._who(Role.DELIVERY_LEAD)), note="assets handed over, next Ask prepared"
        )
        await self._ask("close", close)

    async def resumed(self) -> None:
        """Without a fresh look at the material it is refused, since that is out of date."""
        await self._until(self._nine_o_clock(add_period(self.today(), SHELVED_FOR)))
        for confirmed in (False, True):
            by = self._by(self._who(Role.BUSINESS_LEAD))
            try:
                await self._ask("resume", Resume(**by, material_confirmed=confirmed))
            except EngagementError as refused:
                self.refusals.append(str(refused))

    # How a person acts.

    async def _position(self, unit: Stance, group: Stance) -> None:
        for role, stance in ((Role.UNIT_HEAD, unit), (Role.GROUP_MANAGEMENT, group)):
            await self._working_days(1)
            answer = AnswerPosition(
                **self._by(self._who(role)),
                role=role,
                stance=stance,
                assessed_by="contribution margin of the key accounts, from the ERP",
            )
            await self._ask("answer_position", answer)

    async def _hand_in(self, milestone: Milestone) -> None:
        evidence = {kind: f"{milestone.id}/{kind}.pdf" for kind in milestone.evidence}
        submission = SubmitEvidence(**self._by(self._who(Role.DELIVERY_LEAD)), evidence=evidence)
        await self._ask("submit", submission, "milestone", milestone.id)

    async def measured(
        self, bet: Bet, indicators: Sequence[str], started_on: date, read_on: date
    ) -> None:
        await self._until(max(self._at(read_on, 17), self.moment))
        for name in indicators:
            reading = AddReading(
                **self._by(self._who(Role.IT_LEAD)),
                indicator=name,
                measured_on=read_on,
                value=_on_the_way(bet, bet.indicator(name), started_on, read_on),
                sample=ENOUGH,
                source="ERP extract, signed",
                evidence=f"{name}-{read_on.isoformat()}.csv",
            )
            await self.desk.add_reading(self.id, reading)

    async def _micro(self, update: str, command: CompleteStep | Decide) -> None:
        await self._ask(update, command, *await self.desk.micro_consulting(self.id))

    async def _ask(self, update: str, command: Any, *path: str) -> None:
        await self.desk.ask(update, command, self.id, *path)

    def _by(self, person: str) -> dict[str, Any]:
        return {"command_id": f"story-{next(self._commands)}", "by": person, "at": self.moment}

    def _who(self, role: Role) -> str:
        return next(p.id for p in self.contract.people().everyone if role in p.roles)

    # Time.

    async def _working_days(self, days: int) -> None:
        """Nine o'clock on that working day."""
        day = self.calendar.local_date(self.calendar.working_days_after(self.moment, days))
        await self._until(self._nine_o_clock(day))

    async def _until(self, moment: datetime) -> None:
        await self.desk.advance(self.id, moment)
        self.moment = moment

    def today(self) -> date:
        return self.calendar.local_date(self.moment)

    def _nine_o_clock(self, day: date) -> datetime:
        return self._at(day, 9)

    def _at(self, day: date, hour: int) -> datetime:
        return datetime.combine(day, time(hour), ZoneInfo(self.contract.timezone))


def _on_the_way(bet: Bet, terms: BetIndicator, started_on: date, read_on: date) -> Decimal:
    """A reading on the straight way from the baseline to where the story has the indicator end."""
    position = [each.indicator for each in bet.indicators].index(terms.indicator)
    reached = REACHED[("met", "missed", "partly")[position % 3]]
    ends_on = max(
        add_period(started_on, window.after)
        for window in bet.windows
        if isinstance(window, SettlementWindow) and terms.indicator in window.settles
    )
    part = Decimal((read_on - started_on).days) / Decimal((ends_on - started_on).days)
    value = terms.baseline + (terms.target - terms.baseline) * reached * part
    return value.quantize(Decimal("0.0001"))
