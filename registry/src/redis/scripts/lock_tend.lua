-- ARGV deadline ms of this clock, node (empty: it has nobody in line), then as every script of a lock.
-- Keeps a node's waiters in line, and gives the turn if the lock is free and nobody has it.
-- Answers 'held', 'turn', 'free' (a lock that had expired), 'missed' (a turn that was not used), or 'idle',
-- then ms until that ends, then 1 if the node's waiters may have lost their places; or 'late'.
local now, now_us = clock()
if now > tonumber(ARGV[1]) then return {'late', 0, 0} end
local lost = 0
if ARGV[2] ~= '' then
  if (tonumber(redis.call('HGET', KEYS[5], ARGV[2])) or 0) < now then lost = 1 end
  redis.call('HSET', KEYS[5], ARGV[2], string.format('%.0f', now + ALIVE))
  keep_line()
end
local lock, turn = unpack(redis.call('MGET', KEYS[1], KEYS[3]))
if lock then return {'held', redis.call('PTTL', KEYS[1]), lost} end
if not turn then return {'idle', 0, lost} end
local whose, left, why = pass_turn(turn, now, now_us, '')
if not whose then return {'idle', 0, lost} end
return {why, left, lost}
