"""What a start does while there is no room for its Pod."""

from __future__ import annotations

from fnkit.platform.data_plane.kubernetes.room import Room


class Instances:
    """Idle instances that can be ended."""

    def __init__(self, idle: int) -> None:
        self.idle = idle
        self.is_ending = False
        self.warnings: list[str] = []

    def room(self) -> Room:
        return Room(lambda: self.is_ending, self._evict, self.warnings.append)

    def _evict(self) -> bool:
        self.idle -= 1
        return self.idle >= 0


def test_one_idle_instance_is_ended_at_a_time() -> None:
    instances = Instances(idle=3)
    room = instances.room()
    room.make("full")
    room.make("full")
    assert (instances.idle, instances.warnings) == (2, [])


def test_nothing_is_ended_while_an_instance_is_ending() -> None:
    instances = Instances(idle=3)
    instances.is_ending = True
    instances.room().make("full")
    assert (instances.idle, instances.warnings) == (3, [])


def test_start_warns_if_nothing_is_idle() -> None:
    instances = Instances(idle=0)
    instances.room().make("full")
    assert instances.warnings == ["full"]


def test_nothing_is_ended_where_it_cannot_help() -> None:
    instances = Instances(idle=3)
    instances.room().make("too large", can_help=False)
    assert (instances.idle, instances.warnings) == (3, ["too large"])
