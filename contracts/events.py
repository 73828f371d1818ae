"""What happened, in the past tense; the closed list of event types of an engagement. Pure."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class EventType(StrEnum):
    """Every type of event; the value is the name used in the timeline, webhooks and exports."""

    ENGAGEMENT_OPENED = "engagement.opened"
    POSITION_ANSWERED = "value_position.answered"
    POSITION_DISAGREED = "value_position.disagreed"
    POSITION_AGREED = "value_position.agreed"
    STEP_COMPLETED = "mc.step_completed"
    FINAL_SUBMITTED = "mc.final_submitted"
    REMINDER_RAISED = "reminder.raised"
    ESCALATION_RAISED = "escalation.raised"
    DECISION_SIGNED = "decision.signed"
    DECISION_SPLIT = "decision.split"
    REWORK_ORDERED = "decision.rework_ordered"
    PROCEEDED = "engagement.proceeded"
    SHELVED = "engagement.shelved"
    RESUMED = "engagement.resumed"
    PHASE_BEGUN = "phase.begun"
    MILESTONE_SUBMITTED = "milestone.submitted"
    MILESTONE_REJECTED = "milestone.rejected"
    MILESTONE_ACCEPTED = "milestone.accepted"
    MILESTONE_EVALUATED = "milestone.evaluated"
    MILESTONE_WITHDRAWN = "milestone.withdrawn"
    WENT_LIVE = "engagement.went_live"
    HOLD_PLACED = "hold.placed"
    HOLD_NOT_PLACED = "hold.not_placed"
    CURE_NOTICED = "hold.cure_noticed"
    DECISION_DUE = "hold.decision_due"
    HOLD_EXTENDED = "hold.extended"
    HOLD_DISPUTED = "hold.disputed"
    HOLD_DISPUTE_CLOSED = "hold.dispute_closed"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_SIGNED = "approval.signed"
    APPROVAL_DECIDED = "approval.decided"
    CHANGE_AGREED = "change_order.agreed"
    CHANGE_APPLIED = "change_order.applied"
    CHANGE_LAPSED = "change_order.lapsed"
    HOLD_RELEASED = "hold.released"
    HOLD_FORFEITED = "hold.forfeited"
    INVOICE_ISSUED = "invoice.issued"
    CREDIT_NOTE_ISSUED = "credit_note.issued"
    POSTING_REVERSED = "posting.reversed"
    PAYMENT_APPLIED = "payment.applied"
    PAYMENT_TAKEN_BACK = "payment.taken_back"
    REFUND_REQUESTED = "refund.requested"
    REFUND_CONFIRMED = "refund.confirmed"
    REFUND_FAILED = "refund.failed"
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_CLOSED = "dispute.closed"
    WRITTEN_OFF = "invoice.written_off"
    READING_ADDED = "indicator.observed"
    READINGS_OVERDUE = "indicator.overdue"
    TREND_READ = "trend.read"
    OUTCOME_SETTLED = "outcome.settled"
    STEP_REFUSED = "process.refused"
    CALENDAR_SET = "calendar.set"
    ENGAGEMENT_CLOSED = "engagement.closed"


class Event(BaseModel):
    """One fact. `occurred_at` is business time, aware; `actor` a person's id, a clause or a process."""

    model_config = ConfigDict(frozen=True)

    type: EventType
    occurred_at: datetime
    actor: str
    command_id: str | None = None
    facts: dict[str, Any] = Field(default_factory=dict)
