"""A client that knows nothing of sysmon but its .proto files, as anybody could write it.

Usage: foreign_client.py PROTO_FOLDER SCRATCH_FOLDER HOST:PORT TOKEN MACHINE_ID
"""

import os
import sys
import time

import grpc
from grpc_tools import protoc

PROTO_FOLDER, SCRATCH_FOLDER, ADDRESS, TOKEN, MACHINE_ID = sys.argv[1:]
TIMEOUT_SECONDS = 20


def generate():
    """Makes Python modules of the .proto files and imports them."""
    sources = [f"monitoring/v1/{name}.proto" for name in ("types", "history", "metrics")]
    folders = [f"-I{PROTO_FOLDER}", f"--python_out={SCRATCH_FOLDER}", f"--grpc_python_out={SCRATCH_FOLDER}"]
    assert protoc.main(["protoc", *folders, *sources]) == 0, "the .proto files must compile"
    sys.path.insert(0, SCRATCH_FOLDER)
    from monitoring.v1 import history_pb2, metrics_pb2, metrics_pb2_grpc, types_pb2

    return history_pb2, metrics_pb2, metrics_pb2_grpc, types_pb2


history_pb2, metrics_pb2, metrics_pb2_grpc, types_pb2 = generate()
CREDENTIALS = (("authorization", f"Bearer {TOKEN}"),)


def expect_error(code, call):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()} instead of {code}: {error.details()}"
        assert error.details(), "an error says what to do"
        return
    raise AssertionError(f"{code} was expected")


def get_state(service, machine_id, metadata=CREDENTIALS):
    request = metrics_pb2.StateRequest(machine_id=machine_id)
    return service.GetCurrentState(request, metadata=metadata, timeout=TIMEOUT_SECONDS)


def stream(service, metadata=CREDENTIALS, **request):
    return service.StreamMetrics(metrics_pb2.MetricsRequest(**request), metadata=metadata, timeout=TIMEOUT_SECONDS)


def read_number(path, field=0, name=None):
    with open(path, encoding="ascii") as file:
        for line in file:
            words = line.split()
            if name is None or words[0] == name:
                return float(words[field])
    raise AssertionError(f"{name} is not in {path}")


def check_errors(service):
    expect_error(grpc.StatusCode.UNAUTHENTICATED, lambda: get_state(service, MACHINE_ID, metadata=()))
    wrong = (("authorization", "Bearer sysmon_wrong"),)
    expect_error(grpc.StatusCode.UNAUTHENTICATED, lambda: get_state(service, MACHINE_ID, metadata=wrong))
    expect_error(grpc.StatusCode.UNAUTHENTICATED, lambda: next(stream(service, metadata=())))
    expect_error(grpc.StatusCode.NOT_FOUND, lambda: get_state(service, "no-such-machine"))


def check_state(service):
    """The state must be that of this machine now, by the kernel's own word."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        state = get_state(service, MACHINE_ID)
        values = {metric.type: metric for metric in state.metrics if not metric.labels}
        if "cpu.busy_percent" in values and "host.uptime_seconds" in values and state.processes:
            break
        assert time.monotonic() < deadline, f"there is only {sorted(values)}"
        time.sleep(0.1)
    now = time.time()
    assert state.machine_id == MACHINE_ID
    assert state.liveness == types_pb2.LIVENESS_LIVE
    assert state.host.hostname and state.host.kernel == os.uname().release, state.host
    assert state.host.labels["role"] == "foreign"
    assert abs(state.last_seen_unix_ms / 1000 - now) < 5
    assert 0 <= values["cpu.busy_percent"].value <= 100
    assert values["cpu.busy_percent"].unit == "percent"
    total = read_number("/proc/meminfo", 1, "MemTotal:") * 1024
    assert values["memory.total_bytes"].value == total, (values["memory.total_bytes"], total)
    assert abs(values["host.uptime_seconds"].value - read_number("/proc/uptime")) < 5
    cores = [metric for metric in state.metrics if metric.type == "cpu.core_busy_percent"]
    assert cores and all(metric.labels["core"].isdigit() for metric in cores), cores
    assert any(process.pid and process.name and process.memory_bytes for process in state.processes)


def check_stream(service):
    """Values keep coming: later ones have later times, and the uptime grows with them."""
    wanted = {"host.uptime_seconds", "cpu.busy_percent"}
    call = stream(service, machine_ids=[MACHINE_ID], types=sorted(wanted))
    seen = {name: [] for name in wanted}
    for metric in call:
        assert metric.machine_id == MACHINE_ID and metric.type in wanted, metric
        seen[metric.type].append(metric)
        uptimes = seen["host.uptime_seconds"]
        if len(seen["cpu.busy_percent"]) >= 5 and uptimes[-1].value >= uptimes[0].value + 2:
            break
    call.cancel()
    for metrics in seen.values():
        times = [metric.timestamp_unix_ms for metric in metrics]
        assert times == sorted(times) and times[-1] > times[0], times
    assert abs(seen["cpu.busy_percent"][-1].timestamp_unix_ms / 1000 - time.time()) < 5


def get_history(service, metadata=CREDENTIALS, **request):
    request = history_pb2.HistoryRequest(machine_ids=[MACHINE_ID], metrics=["host.uptime_seconds"], **request)
    return service.GetHistory(request, metadata=metadata, timeout=TIMEOUT_SECONDS)


def decode(codes):
    """Values of a series: 0 for none, else one more than the zigzag-encoded difference to the value before."""
    value = 0
    for code in codes:
        if code == 0:
            yield None
            continue
        zigzag = code - 1
        value += (zigzag >> 1) ^ -(zigzag & 1)
        yield value


def check_history(service):
    """What was streamed is in history as well: single samples, with times that ascend."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        now_ms = int(time.time() * 1000)
        reply = get_history(service, from_unix_ms=now_ms - 60_000, to_unix_ms=now_ms + 1_000, points=1_000)
        if reply.machines and len(reply.machines[0].at_unix_ms_steps) >= 5:
            break
        assert time.monotonic() < deadline, reply
        time.sleep(0.2)
    (machine,) = reply.machines
    (series,) = machine.series
    assert machine.machine_id == MACHINE_ID and machine.tier == history_pb2.HISTORY_TIER_RAW and machine.step_ms == 0
    assert all(step > 0 for step in machine.at_unix_ms_steps), "times ascend"
    newest_ms = sum(machine.at_unix_ms_steps)
    assert abs(newest_ms - now_ms) < 10_000, (newest_ms, now_ms)
    assert series.definition.metric == "host.uptime_seconds"
    values = [value / 10**series.definition.decimals for value in decode(series.mean_codes) if value is not None]
    assert values == sorted(values) and abs(values[-1] - read_number("/proc/uptime")) < 10, values
    expect_error(grpc.StatusCode.INVALID_ARGUMENT, lambda: get_history(service, from_unix_ms=5, to_unix_ms=5))
    expect_error(
        grpc.StatusCode.UNAUTHENTICATED, lambda: get_history(service, metadata=(), from_unix_ms=1, to_unix_ms=5)
    )


with grpc.insecure_channel(ADDRESS) as channel:
    client = metrics_pb2_grpc.MetricsServiceStub(channel)
    check_errors(client)
    check_state(client)
    check_stream(client)
    check_history(client)
print("foreign client: all is well")
