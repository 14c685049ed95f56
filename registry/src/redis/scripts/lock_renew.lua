-- ARGV deadline ms of this clock, token, ttl ms (empty: as before), then as every script of a lock.
-- Answers 'granted' and the lock; 'denied', the lock and ms left; or 'late'.
local now = clock()
if now > tonumber(ARGV[1]) then return {'late', '', 0} end
local lock = redis.call('GET', KEYS[1])
if not lock then return {'denied', '', 0} end
if string.sub(lock, 1, 32) ~= ARGV[2] then return {'denied', lock, redis.call('PTTL', KEYS[1])} end
local front, ttl, back = string.match(lock, '^([^|]*|[^|]*|)(%d+)(|.*)$')
if ARGV[3] ~= '' then
  lock, ttl = front .. ARGV[3] .. back, ARGV[3]
  redis.call('SET', KEYS[1], lock, 'PX', ttl)
else
  redis.call('PEXPIRE', KEYS[1], ttl)
end
return {'granted', lock, tonumber(ttl)}
