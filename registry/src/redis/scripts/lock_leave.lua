-- ARGV waiter, token that is to be given back if it holds the lock (empty: none), then as every script of a
-- lock. Needs no deadline: a waiter's name is never used again, and neither is a token that nobody knows.
-- Answers 'held', the lock and ms left; or 'free' and for how many ms somebody in line has the turn.
local now, now_us = clock()
local lock, turn = unpack(redis.call('MGET', KEYS[1], KEYS[3]))
redis.call('ZREM', KEYS[4], ARGV[1])
if lock and ARGV[2] ~= '' and string.sub(lock, 1, 32) == ARGV[2] then
  redis.call('DEL', KEYS[1])
  lock = false
end
if lock then return {'held', lock, redis.call('PTTL', KEYS[1])} end
local left = 0
if turn then
  if string.match(turn, '|(.*)$') == ARGV[1] then turn = '0|' end
  local _
  _, left = pass_turn(turn, now, now_us, '')
end
return {'free', '', left}
