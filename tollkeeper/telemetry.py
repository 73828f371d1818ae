"""The Temporal SDK's own metrics for Prometheus, with buckets that fit our processes."""

from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from contracts.errors import Unavailable

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0

# Temporal advises to alert at 0.2 s; the SDK's own buckets begin at 0.1 s, or know no 0.2 s.
WAITING = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, MINUTE, 5 * MINUTE]
# A transaction takes milliseconds, a delivery is given 30 s.
WORKING = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0]
# A delivery is over in a second or after days, an engagement after a year.
LIVING = [
    0.1, 1.0, 10.0, MINUTE, 10 * MINUTE, HOUR, 6 * HOUR,
    DAY, 7 * DAY, 30 * DAY, 90 * DAY, 180 * DAY, 270 * DAY, 400 * DAY,
]  # fmt: skip

BUCKETS = {
    "workflow_task_schedule_to_start_latency": WAITING,
    "activity_schedule_to_start_latency": WAITING,
    "workflow_task_execution_latency": WORKING,
    "workflow_task_replay_latency": WORKING,
    "activity_execution_latency": WORKING,
    "local_activity_execution_latency": WORKING,
    "request_latency": WORKING,
    "long_request_latency": WAITING,
    "activity_succeed_endtoend_latency": LIVING,
    "local_activity_succeed_endtoend_latency": LIVING,
    "workflow_endtoend_latency": LIVING,
}
"""Upper bounds in seconds, by the SDK's name without prefix and suffix."""


def telemetry(bind_address: str) -> Runtime:
    """A runtime for clients and workers that serves its metrics at `http://BIND_ADDRESS/metrics`.

    Raises:
        Unavailable: the address is taken, or is not an IP address with a port.
    """
    prometheus = PrometheusConfig(
        bind_address=bind_address,
        # One policy for all names, the one that `promtool check metrics` accepts.
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
        histogram_bucket_overrides=BUCKETS,
    )
    try:
        return Runtime(telemetry=TelemetryConfig(metrics=prometheus))
    except ValueError as refused:
        raise Unavailable(
            f"SDK metrics: found {bind_address!r} ({refused}), "
            "expected a free address such as 127.0.0.1:9465"
        ) from refused
