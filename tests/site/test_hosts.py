"""What a node is called: short where that is enough, and never as another one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.site.hosts import short, shown

PARTS = st.sampled_from(["n1", "n2", "10", "0", "rack", "x-1"])
HOSTS = st.lists(PARTS, min_size=1, max_size=4).map(".".join)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("nid0001.cluster.example.org", "nid0001"),
        ("nid0001", "nid0001"),
        ("node1.1.x", "node1"),
        ("1a.example", "1a"),
        ("10.0.0.1", "10.0.0.1"),
        ("127.1", "127.1"),
        ("7", "7"),
        ("fe80::1", "fe80::1"),
        ("::1.2.3.4", "::1.2.3.4"),
        (".hidden", ".hidden"),
    ],
)
def test_a_host_is_called_by_its_first_part_unless_it_is_an_address(host: str, name: str) -> None:
    assert short(host) == name


@given(st.lists(HOSTS, min_size=1, max_size=6))
def test_two_hosts_are_never_called_the_same_and_one_host_has_one_name(hosts: list[str]) -> None:
    everyone = [(short(host), host) for host in hosts]
    names = {host: shown(short(host), host, everyone) for host in hosts}
    assert len(set(names.values())) == len(set(hosts))
    assert all(name in (short(host), host) for host, name in names.items())


@given(st.lists(HOSTS, min_size=1, max_size=6))
def test_a_name_is_long_only_where_it_has_to_be(hosts: list[str]) -> None:
    everyone = [(short(host), host) for host in hosts]
    for host in hosts:
        alone = {other for other in hosts if short(other) == short(host)} == {host}
        assert (shown(short(host), host, everyone) == short(host)) == (alone or short(host) == host)
