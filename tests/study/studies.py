"""Studies from the arguments of `commenv.run`."""

from commenv.study.product import arms
from commenv.study.spec import Study

_OF_ARMS = ("num_agents", "env_kwargs", "uplink", "downlink")


def built(environment, algorithm, scheme=None, settings=None, limit=None, **rest):
    """The study that these arguments describe; the rest is of its arms or its own."""
    own = {name: rest.pop(name) for name in _OF_ARMS if name in rest}
    return Study(arms(environment, algorithm, scheme, settings, limit, **own), **rest)
