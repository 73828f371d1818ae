"""What is known on a day about a contract: readings, events, excuses and pauses in order. Pure."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from contracts.calendar import add_period
from contracts.errors import TermsError
from contracts.outcome.basics import AssessmentPeriod
from contracts.outcome.graph import read_inputs
from contracts.outcome.outcome import Input, Outcome
from contracts.outcome.readings import Reading, Readings, Series

ENOUGH = 10**9
"""The sample of a value in a series, which states none: it is large enough."""

ALONE = ""
"""The subject of what has no subjects."""


@dataclass(frozen=True)
class Report:
    """One report of one input; `value` None says that it is missing."""

    input: str
    subject: str
    first_day: date
    last_day: date
    value: Fraction | None
    sample: int
    verified: bool
    known_on: date
    evidence: str
    left_out: bool = False
    """It was excluded for a reason, and takes earlier reports of the same thing out as well."""


class Evidence:
    """Every report that the contract admits, and what of it was known on a day.

    The order in which readings stand in their document makes no difference.

    Raises:
        TermsError: a reading of an unknown input or reason, two different reports of the same thing
            received on the same day, or a series longer than the periods.
    """

    def __init__(
        self,
        versions: Sequence[Outcome],
        readings: Readings,
        periods: Sequence[AssessmentPeriod],
    ) -> None:
        self.readings = readings
        self._inputs = {given.id: given for terms in versions for given in terms.inputs}
        self._admit(versions)
        self._read = _read_by(versions)
        reports = [*self._from_series(periods), *self._from_readings()]
        self._all = sorted(
            reports, key=lambda r: (r.input, r.last_day, r.first_day, r.subject, *_rank(r))
        )
        # No window reaches beyond the day on which it is asked, so what is never late is known in time.
        self._prompt = all(report.known_on <= report.last_day for report in reports)
        self.late = self._late_days(periods)
        self._seen: dict[date, dict[str, list[Report]]] = {}

    def known(self, on: date) -> Mapping[str, Sequence[Report]]:
        """The reports that count on a day, by input, in order of their days."""
        if self._prompt:
            on = date.max
        if on not in self._seen:
            self._seen[on] = self._winners(on)
        return self._seen[on]

    def subjects(self, name: str, by: date, on: date) -> set[str]:
        """Those for which an input was reported, or an event has happened, at the latest `by`."""
        reported = {
            report.subject
            for report in self.known(on).get(name, ())
            if report.first_day <= by and report.known_on <= on
        }
        happened = {
            event.subject or ALONE
            for event in self.readings.events
            if event.event == name and event.on <= by and (event.received_on or event.on) <= on
        }
        return (reported | happened) - {ALONE}

    def between(self, name: str, subject: str, first: date, last: date, on: date) -> list[Report]:
        """The reports of an input whose last day lies in a window of days."""
        reports = self.known(on).get(name, ())
        start = bisect_left(reports, first, key=lambda report: report.last_day)
        found = []
        for report in reports[start:]:
            if report.last_day > last:
                break
            if report.subject == subject:
                found.append(report)
        return found

    def happened(self, event: str, subject: str, by: date, on: date) -> date | None:
        """The first day of an event, at the latest `by`."""
        days = [
            happening.on
            for happening in self.readings.events
            if happening.event == event
            and (happening.subject or ALONE) == subject
            and happening.on <= by
            and (happening.received_on or happening.on) <= on
        ]
        return min(days, default=None)

    def excused(self, reasons: Sequence[str], first: date, last: date) -> list[date]:
        """The days from `first` to `last` for which one of the reasons is recorded."""
        days: set[date] = set()
        for excuse in self.readings.excused:
            if excuse.reason in reasons:
                day = max(excuse.from_day, first)
                while day <= min(excuse.to_day, last):
                    days.add(day)
                    day += timedelta(days=1)
        return sorted(days)

    def _from_series(self, periods: Sequence[AssessmentPeriod]) -> list[Report]:
        reports = []
        for name, series in self.readings.series.items():
            self._input(name, f"series.{name}")
            for subject, values in _by_subject(series):
                self._admit_subject(name, subject, f"series.{name}")
                if len(values) > len(periods):
                    raise TermsError(
                        f"series.{name}: found {len(values)} values, "
                        f"expected at most one for each of the {len(periods)} periods"
                    )
                for value, period in zip(values, periods, strict=False):
                    day = period.last_day
                    reports.append(
                        Report(name, subject, day, day, value, ENOUGH, True, day, "series")
                    )
        return reports

    def _from_readings(self) -> list[Report]:
        reports = []
        for n, reading in enumerate(self.readings.readings):
            terms = self._input(reading.input, f"readings[{n}].input")
            self._admit_subject(reading.input, reading.subject or ALONE, f"readings[{n}].subject")
            value = reading.value
            if reading.excluded_for is not None:
                if reading.excluded_for not in terms.exclusions:
                    raise TermsError(
                        f"readings[{n}].excluded_for: found {reading.excluded_for!r}, "
                        f"expected one of {', '.join(terms.exclusions) or 'none'}"
                    )
                value = terms.excluded_as.constant if terms.excluded_as else None
            if terms.accepts == "verified" and reading.status != "verified":
                continue
            within = terms.reported_within
            if within and reading.known_on > add_period(reading.last_day, within):
                continue
            if terms.type == "judgement" and reading.by is None:
                raise TermsError(
                    f"readings[{n}].by: found no author of a judgement, expected who judged"
                )
            left_out = reading.excluded_for is not None and value is None
            reports.append(_report(reading, value, left_out))
        return reports

    def _admit(self, versions: Sequence[Outcome]) -> None:
        """Refuse events and excuses that no version of the contract knows."""
        events = {event.id for terms in versions for event in terms.events}
        excuses = {reason for terms in versions for reason in terms.excuses}
        given = [
            *((f"events[{n}].event", e.event, events) for n, e in enumerate(self.readings.events)),
            *(
                (f"excused[{n}].reason", e.reason, excuses)
                for n, e in enumerate(self.readings.excused)
            ),
        ]
        for where, found, known in given:
            if found not in known:
                expected = f"one of {', '.join(sorted(known))}" if known else "none"
                raise TermsError(f"{where}: found {found!r}, expected {expected}")

    def _admit_subject(self, name: str, subject: str, where: str) -> None:
        """Refuse what no measure would see: a value for all where subjects are read, and the reverse."""
        by_subject, alone = self._read[0], self._read[1]
        if subject == ALONE and name in by_subject - alone:
            raise TermsError(f"{where}: found no subject, expected one, as {name} is read for each")
        if subject != ALONE and name in alone - by_subject:
            raise TermsError(
                f"{where}: found subject {subject!r}, expected none, "
                f"as no measure reads {name} for each subject"
            )

    def _input(self, name: str, where: str) -> Input:
        if name not in self._inputs:
            known = ", ".join(self._inputs) or "none"
            raise TermsError(f"{where}: found {name!r}, expected one of the inputs {known}")
        return self._inputs[name]

    def _winners(self, on: date) -> dict[str, list[Report]]:
        """Of each thing the verified report, and then the latest that was received."""
        best: dict[tuple[str, str, date, date], Report] = {}
        for report in self._all:
            if report.known_on > on:
                continue
            what = (report.input, report.subject, report.first_day, report.last_day)
            other = best.get(what)
            if other is None or _rank(report) > _rank(other):
                best[what] = report
            elif _rank(report) == _rank(other) and _said(report) != _said(other):
                raise TermsError(
                    f"found two reports of {report.input} on {report.last_day}, "
                    f"{other.value} and {report.value}, both received on {report.known_on}, "
                    "expected one, or different received_on"
                )
        by_input: dict[str, list[Report]] = {}
        for report in best.values():
            if not report.left_out:
                by_input.setdefault(report.input, []).append(report)
        return by_input

    def _late_days(self, periods: Sequence[AssessmentPeriod]) -> list[date]:
        """The days on which something became known after a period that it belongs to was settled."""
        settled = {period.last_day: period.settled_on for period in periods}
        ends = sorted(settled)

        def settlement_of(day: date) -> date | None:
            n = bisect_left(ends, day)
            return settled[ends[n]] if n < len(ends) else None

        known = [(report.last_day, report.known_on) for report in self._all]
        known += [(e.on, e.received_on or e.on) for e in self.readings.events]
        late = set()
        for day, received in known:
            due = settlement_of(day)
            if due is not None and received > due:
                late.add(received)
        return sorted(late)


def _said(report: Report) -> tuple[Fraction | None, int, bool]:
    return report.value, report.sample, report.left_out


def _read_by(versions: Sequence[Outcome]) -> tuple[set[str], set[str]]:
    """The inputs that are read for each subject, and those that are read for all at once."""
    by_subject: set[str] = set()
    alone: set[str] = set()
    for terms in versions:
        for measure in terms.measures:
            names = by_subject if getattr(measure, "each", None) else alone
            names.update(read_inputs(measure))
    return by_subject, alone


def _rank(report: Report) -> tuple[bool, date]:
    return report.verified, report.known_on


def _by_subject(series: Series) -> list[tuple[str, tuple[Fraction | None, ...]]]:
    return list(series.items()) if isinstance(series, dict) else [(ALONE, series)]


def _report(reading: Reading, value: Fraction | None, left_out: bool) -> Report:
    return Report(
        input=reading.input,
        subject=reading.subject or ALONE,
        first_day=reading.first_day,
        last_day=reading.last_day,
        value=value,
        sample=reading.sample,
        verified=reading.status == "verified",
        known_on=reading.known_on,
        evidence=reading.evidence or reading.source or "",
        left_out=left_out,
    )
