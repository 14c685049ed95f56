-- ARGV deadline ms of this clock, token, then as every script of a lock.
-- Answers 'released' and for how many ms somebody in line has the turn now; 'denied', the lock and ms left;
-- or 'late'.
local now, now_us = clock()
if now > tonumber(ARGV[1]) then return {'late', '', 0} end
local lock, turn = unpack(redis.call('MGET', KEYS[1], KEYS[3]))
if not lock then return {'denied', '', 0} end
if string.sub(lock, 1, 32) ~= ARGV[2] then return {'denied', lock, redis.call('PTTL', KEYS[1])} end
redis.call('DEL', KEYS[1])
local left = 0
if turn then
  local _
  _, left = pass_turn(turn, now, now_us, '')
end
return {'released', '', left}
