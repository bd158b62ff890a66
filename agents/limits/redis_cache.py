"""Redis, asked for all that a request takes or gives back in one command."""

from secrets import token_hex
from typing import Any

from django.core.cache.backends.redis import RedisCache
from redis.backoff import NoBackoff
from redis.retry import Retry

from agents.limits.counters import KEPT_SECONDS, PARALLEL_REQUESTS, SLOT_SECONDS, TOKENS_PER_MINUTE, Taken

ANSWER_SECONDS = 1.0

COUNT = """
local total = redis.call('INCRBY', KEYS[1], ARGV[1])
if total == tonumber(ARGV[1]) then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return total
"""

# The slots of a key are a sorted set: each with the time, by the clock of Redis, at which it is free if not renewed.
TAKE = f"""
local slot, most_slots, slot_seconds = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local tokens, most_tokens, kept_seconds = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local now = redis.call('TIME')[1]
local used = most_tokens > 0 and tonumber(redis.call('GET', KEYS[2]) or 0) or 0
if most_slots > 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
    if redis.call('ZCARD', KEYS[1]) >= most_slots then return {{used, '{PARALLEL_REQUESTS}'}} end
end
if most_tokens > 0 and used + tokens > most_tokens then return {{used, '{TOKENS_PER_MINUTE}'}} end
if most_slots > 0 then
    redis.call('ZADD', KEYS[1], now + slot_seconds, slot)
    redis.call('EXPIRE', KEYS[1], slot_seconds)
end
if tokens > 0 and redis.call('INCRBY', KEYS[2], tokens) == tokens then redis.call('EXPIRE', KEYS[2], kept_seconds) end
return {{used, ''}}
"""

GIVE_BACK = f"""
redis.call('ZREM', KEYS[2], ARGV[3])
if ARGV[1] == '0' then return end
{COUNT}
"""

RENEW = """
redis.call('ZADD', KEYS[1], 'XX', redis.call('TIME')[1] + ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""


class RedisCounts(RedisCache):
    """Counts for all processes together what a LocalCache counts for one."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        # One retry, for connections that were made before Redis was restarted.
        timeouts = {"socket_connect_timeout": ANSWER_SECONDS, "socket_timeout": ANSWER_SECONDS}
        self._options = {**timeouts, "retry": Retry(NoBackoff(), 1)}
        # One client for them all: Django makes one for each command, which takes as long as the command.
        script = self._cache.get_client(write=True).register_script
        self._count, self._take = script(COUNT), script(TAKE)
        self._give_back, self._renew = script(GIVE_BACK), script(RENEW)

    def count(self, counter: str, amount: int) -> int:
        return int(self._count([self.make_key(counter)], [amount, KEPT_SECONDS]))

    def take(self, slots: str, most_slots: int, counter: str, tokens: int, most_tokens: int) -> Taken:
        slot = token_hex(8) if most_slots else ""
        limits = [most_slots, SLOT_SECONDS, tokens, most_tokens, KEPT_SECONDS]
        used, exceeded = self._take([self.make_key(slots), self.make_key(counter)], [slot, *limits])
        return Taken(used, "" if exceeded else slot, exceeded.decode())

    def give_back(self, slots: str, slot: str, counter: str, more: int) -> None:
        self._give_back([self.make_key(counter), self.make_key(slots)], [more, KEPT_SECONDS, slot])

    def renew(self, slots: str, slot: str) -> None:
        self._renew([self.make_key(slots)], [slot, SLOT_SECONDS])
