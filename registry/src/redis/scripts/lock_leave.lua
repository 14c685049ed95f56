-- ARGV waiter, token that is to be given back if it holds the lock (empty: none), then as every script of a
-- lock. Needs no deadline: a waiter's name is never used again, and neither is a token that nobody knows.
-- Answers 'held', the lock and ms left; or 'free' and for how many ms somebody in line has the turn.
local now, now_us = clock()
local lock, left = held(now)
redis.call('ZREM', KEYS[3], ARGV[1])
if lock and ARGV[2] ~= '' and token_of(lock) == ARGV[2] then
  redis.call('SETEX', KEYS[1], '86400', '0000000000000' .. string.sub(lock, 14, 33))
  lock = false
end
if lock then return {'held', lock, left} end
local turn, of_turn = redis.call('GET', KEYS[2]), 0
if turn then
  if string.match(turn, '|(.*)$') == ARGV[1] then turn = '0|' end
  local _
  _, of_turn = pass_turn(turn, now, now_us, '')
end
return {'free', '', of_turn}
