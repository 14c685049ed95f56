-- ARGV deadline ms of this clock, token, ttl ms (empty: as before), then as every script of a lock.
-- Answers 'granted' and the lock; 'denied', the lock and ms left; or 'late'.
local now = clock()
if now > tonumber(ARGV[1]) then return {'late', '', 0} end
local lock, left = held(now)
if not lock then return {'denied', '', 0} end
if token_of(lock) ~= ARGV[2] then return {'denied', lock, left} end
local ttl, back = string.match(lock, '^(%d+)(|.*)$', 84)
if ARGV[3] ~= '' then ttl = ARGV[3] end
lock = string.format('%013d', now + ttl) .. string.sub(lock, 14, 83) .. ttl .. back
redis.call('SETEX', KEYS[1], '86400', lock)
return {'granted', lock, tonumber(ttl)}
