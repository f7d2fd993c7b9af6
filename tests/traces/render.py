"""A trace as text: what happened, in order, without what differs from run to run."""

KINDS = {1: "internal", 2: "server", 3: "client"}
STATUSES = {0: "", 1: " OK", 2: " ERROR"}


def attributes(owner):
    """The attributes of a span or event, as plain values."""
    return {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in owner.attributes}


def render(spans):
    """The tree below the one span whose parent is not among them."""
    known = {span.span_id for span in spans}
    roots = [span for span in spans if span.parent_span_id not in known]
    if len(roots) != 1:
        raise AssertionError(f"{len(roots)} roots among {[span.name for span in spans]}")
    lines = []
    _write(roots[0], spans, 0, lines)
    return "\n".join(lines) + "\n"


def _write(span, spans, depth, lines):
    indent = "    " * depth
    lines.append(f"{indent}{span.name} ({KINDS[span.kind]}){STATUSES[span.status.code]}")
    for key, value in sorted(attributes(span).items()):
        # the system chose it
        value = "PORT" if key == "server.port" else value
        lines.append(f"{indent}  {key} = {value}")
    for event in span.events:
        told = ", ".join(f"{key} = {value}" for key, value in sorted(attributes(event).items()))
        lines.append(f"{indent}  event: {event.name} ({told})")
    below = [other for other in spans if other.parent_span_id == span.span_id]
    for other in sorted(below, key=lambda it: it.start_time_unix_nano):
        _write(other, spans, depth + 1, lines)
