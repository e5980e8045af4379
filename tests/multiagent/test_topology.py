import copy
import pickle

import cloudpickle
import networkx as nx
import numpy as np
import pytest
from gymnasium import spaces

import commenv
from commenv.errors import UnknownNameError
from commenv.multiagent.topology import adjacency_of, distances_of, links_of
from tests.multiagent.worlds import Counting, does

ABCD = ["a", "b", "c", "d"]


def pairs(topology, agents=ABCD):
    links = links_of(topology, agents)
    return {
        agents[s] + agents[t] for s, t in zip(links.sources, links.targets, strict=True)
    }


def test_named_topologies_link_the_pairs_that_their_names_say():
    everybody = {a + b for a in ABCD for b in ABCD if a != b}
    assert pairs("broadcast") == pairs("complete") == everybody
    assert pairs("ring") == {"ab", "ba", "bc", "cb", "cd", "dc", "da", "ad"}
    assert pairs("star") == {"ab", "ba", "ac", "ca", "ad", "da"}


def test_only_a_broadcast_is_one_transmission_for_all():
    assert links_of("broadcast", ABCD).shared
    assert not links_of("complete", ABCD).shared


@pytest.mark.parametrize("name", ["broadcast", "complete", "ring", "star"])
def test_two_agents_are_linked_once_each_way_and_one_agent_not_at_all(name):
    assert pairs(name, ["a", "b"]) == {"ab", "ba"}
    assert pairs(name, ["a"]) == set()


def test_a_matrix_a_mapping_and_a_directed_graph_say_the_same():
    edges = [("a", "b"), ("c", "a"), ("b", "d")]
    matrix = np.zeros((4, 4), bool)
    matrix[[0, 2, 1], [1, 0, 3]] = True
    expected = {"ab", "ca", "bd"}
    assert pairs(matrix) == pairs(matrix.astype(int).tolist()) == expected
    assert pairs({"a": ["b"], "c": ["a"], "b": ["d"]}) == expected
    assert pairs(nx.DiGraph(edges)) == expected
    assert pairs(nx.Graph(edges)) == expected | {"ba", "ac", "db"}


def test_links_are_ordered_by_sender_and_then_by_receiver():
    links = links_of({"c": ["d", "a"], "a": ["b"]}, ABCD)
    assert links.sources.tolist() == [0, 2, 2]
    assert links.targets.tolist() == [1, 0, 3]


def test_a_function_may_link_any_pair_and_says_which_now():
    links = links_of(lambda env: {"a": env}, ABCD)
    assert len(links.sources) == 12
    assert links.changing(["c"]).nonzero() == (np.array([0]), np.array([2]))


def test_distances_are_those_between_the_ends_of_links():
    links = links_of("star", ABCD)
    where = {"a": [0, 0], "b": np.array([3.0, 4.0]), "d": [0, 1]}
    distances = distances_of(links, where, ABCD)
    named = {
        ABCD[s] + ABCD[t]: distance
        for s, t, distance in zip(links.sources, links.targets, distances, strict=True)
    }
    assert named == {"ab": 5, "ba": 5, "ac": np.inf, "ca": np.inf, "ad": 1, "da": 1}
    assert (distances_of(links, {}, ABCD) == np.inf).all()
    with pytest.raises(UnknownNameError, match="unknown agent with a position 'e'"):
        distances_of(links, {"e": [0, 0]}, ABCD)


@pytest.mark.parametrize(
    ("topology", "words"),
    [
        ("rign", "unknown topology 'rign'.*'ring'"),
        ({"a": ["e"]}, "unknown agent in the topology 'e'"),
        ({"e": []}, "unknown agent in the topology 'e'"),
        (nx.path_graph(5), "unknown agent in the topology 0"),
    ],
)
def test_unknown_names_and_nodes_are_named(topology, words):
    with pytest.raises(UnknownNameError, match=words):
        links_of(topology, ABCD)


@pytest.mark.parametrize("topology", [np.ones((3, 3)), 7, np.full((4, 4), 0.5), None])
def test_what_is_no_topology_is_told_the_forms(topology):
    with pytest.raises(ValueError, match=r"matrix of bool of shape \(4, 4\)"):
        adjacency_of(topology, ABCD)


def test_nobody_is_linked_to_itself():
    with pytest.raises(ValueError, match="links agent 'b' to itself"):
        adjacency_of({"a": ["b"], "b": ["b"]}, ABCD)


def nearby(env):
    return ~np.eye(3, dtype=bool)


def test_a_function_of_a_module_travels_with_its_environment():
    env = commenv.CommunicationBudget(
        Counting(3), message_space=spaces.Discrete(8), topology=nearby
    )
    env.reset(seed=0)
    other = pickle.loads(pickle.dumps(env))
    said = {agent: does(0, 5, 1) for agent in env.agents}
    np.testing.assert_equal(other.step(said), env.step(said))


def test_a_lambda_can_be_copied_but_not_pickled_by_name():
    env = commenv.CommunicationBudget(
        Counting(3), message_space=spaces.Discrete(8), topology=lambda env: nearby(env)
    )
    env.reset(seed=0)
    said = {agent: does(0, 5, 1) for agent in env.agents}
    np.testing.assert_equal(copy.deepcopy(env).step(said), env.step(said))
    assert cloudpickle.loads(cloudpickle.dumps(env)).network.clock == env.network.clock
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(env)
