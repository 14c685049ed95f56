-- ARGV deadline ms of this clock, node (empty: it has nobody in line), then as every script of a lock.
-- Keeps a node's waiters in line, and gives the turn if the lock is free and nobody has it.
-- Answers 'held', 'turn', 'free' (a lock that had expired), 'missed' (a turn that was not used), or 'idle',
-- then ms until that ends, then 1 if the node's waiters may have lost their places; or 'late'.
local now, now_us = clock()
if now > tonumber(ARGV[1]) then return {'late', 0, 0} end
local lost = 0
if ARGV[2] ~= '' then
  if (tonumber(redis.call('HGET', KEYS[4], ARGV[2])) or 0) < now then lost = 1 end
  redis.call('HSET', KEYS[4], ARGV[2], string.format('%d', now + ALIVE))
  keep_line()
end
local lock, of_lock = held(now)
if lock then return {'held', of_lock, lost} end
local turn = redis.call('GET', KEYS[2])
if not turn then return {'idle', 0, lost} end
local whose, left, why = pass_turn(turn, now, now_us, '')
if not whose then return {'idle', 0, lost} end
return {why, left, lost}
