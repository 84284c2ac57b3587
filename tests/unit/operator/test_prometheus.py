"""The text format of Prometheus."""

from __future__ import annotations

from dask_gpu_k8s.operator.prometheus import Counter, Gauge, Histogram, render


def test_counters_begin_at_zero_and_grow():
    alone, labelled = Counter("a_total", "A."), Counter("b_total", "B.", "verb", "code")
    labelled.start("get", "200")
    labelled.add("get", "404", by=2)
    assert render([alone, labelled]) == (
        "# HELP a_total A.\n"
        "# TYPE a_total counter\n"
        "a_total 0\n"
        "# HELP b_total B.\n"
        "# TYPE b_total counter\n"
        'b_total{verb="get",code="200"} 0\n'
        'b_total{verb="get",code="404"} 2\n'
    )


def test_gauges_are_read_when_asked():
    numbers = {("x",): 0.5}
    gauge = Gauge("g", "G.", lambda: numbers, "name")
    numbers["y",] = 3.0
    assert render([gauge]).splitlines()[2:] == ['g{name="x"} 0.5', 'g{name="y"} 3']


def test_what_only_grows_is_a_counter_though_it_is_read():
    assert "# TYPE t_total counter" in render([Gauge("t_total", "T.", lambda: {(): 1.0})])


def test_buckets_of_a_histogram_count_what_is_in_the_smaller_ones():
    histogram = Histogram("h_seconds", "H.", (0.1, 1.0), "kind")
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.add("x", seconds)
    assert render([histogram]).splitlines()[2:] == [
        'h_seconds_bucket{kind="x",le="0.1"} 2',
        'h_seconds_bucket{kind="x",le="1"} 3',
        'h_seconds_bucket{kind="x",le="+Inf"} 4',
        'h_seconds_sum{kind="x"} 7.65',
        'h_seconds_count{kind="x"} 4',
    ]


def test_labels_may_hold_anything():
    counter = Counter("c_total", "C.", "text")
    counter.add('say "hi"\n\\')
    assert render([counter]).splitlines()[2] == 'c_total{text="say \\"hi\\"\\n\\\\"} 1'
