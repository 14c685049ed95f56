-- ARGV deadline ms of this clock, token, then as every script of a lock.
-- Answers 'released' and for how many ms somebody in line has the turn now; 'denied', the lock and ms left;
-- or 'late'. What most releases need comes first.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', '', 0} end
local lock = redis.call('GET', KEYS[1])
local left = lock and string.sub(lock, 1, 13) - now or -1
if left < 0 then return {'denied', '', 0} end
if string.sub(lock, 34, 65) ~= ARGV[2] then return {'denied', lock, left} end
redis.call('SETEX', KEYS[1], '86400', '0000000000000' .. string.sub(lock, 14, 33))
if string.sub(lock, 32, 32) == '-' then return {'released', '', 0} end
