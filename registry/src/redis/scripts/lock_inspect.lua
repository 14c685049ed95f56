-- KEYS as every script of a lock. Answers the lock, ms left and how many wait; nothing if it is not held.
local lock = redis.call('GET', KEYS[1])
if not lock then return false end
return {lock, redis.call('PTTL', KEYS[1]), redis.call('ZCARD', KEYS[4])}
