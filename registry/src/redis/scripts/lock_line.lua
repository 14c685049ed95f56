-- What the scripts of a lock share. KEYS lock, fence, turn, waiters, nodes; the last two of ARGV: what the
-- name of a node's channel begins with, and what a wake begins with.
--   waiters  `node|number` -> when it came, us; first in line is first
--   nodes    node -> until when its waiters are believed to be there, ms
--   turn     `ends|waiter` while a waiter has the turn, `0|` while the lock is held; exists while somebody waits
local TURN, ALIVE, KEPT, WAITERS_MAX = 250, 3000, 10000, 4096

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000), time[1] * 1000000 + time[2]
end

local function keep_line()
  redis.call('PEXPIRE', KEYS[3], KEPT)
  redis.call('PEXPIRE', KEYS[4], KEPT)
  redis.call('PEXPIRE', KEYS[5], KEPT)
end

local function to_the_end(waiter, now_us, condition)
  local last = redis.call('ZRANGE', KEYS[4], -1, -1, 'WITHSCORES')
  local place = math.max(now_us, (tonumber(last[2]) or 0) + 1)
  redis.call('ZADD', KEYS[4], condition, string.format('%.0f', place), waiter)
end

-- The first in line whose node lives; those before it are removed. With nobody left the line is gone.
local function first_in_line(now)
  local dead = {}
  while true do
    local first = redis.call('ZRANGE', KEYS[4], 0, 0)[1]
    if not first then
      redis.call('DEL', KEYS[3], KEYS[4], KEYS[5])
      return nil
    end
    local node = string.match(first, '^[^|]*')
    if dead[node] == nil then
      dead[node] = (tonumber(redis.call('HGET', KEYS[5], node)) or 0) < now
    end
    if not dead[node] then return first end
    redis.call('ZREM', KEYS[4], first)
  end
end

-- The lock is free and `turn` is what was said of the turn: answers who has it now, for how many ms, and why.
-- Who did not come in time goes to the end of the line. If it would be the turn of `me`, nobody is told.
local function pass_turn(turn, now, now_us, me)
  local ends, whose = string.match(turn, '^(%d+)|(.*)$')
  if whose == me and me ~= '' then return me, 0 end
  if whose ~= '' then
    if now < tonumber(ends) then return whose, ends - now, 'turn' end
    to_the_end(whose, now_us, 'XX')
  end
  local first = first_in_line(now)
  if not first or first == me then return first, 0 end
  redis.call('SET', KEYS[3], string.format('%.0f|%s', now + TURN, first), 'PX', KEPT)
  local node, number = string.match(first, '^([^|]*)|(.*)$')
  redis.call('PUBLISH', ARGV[#ARGV - 1] .. node .. '}', ARGV[#ARGV] .. number)
  return first, TURN, whose == '' and 'free' or 'missed'
end
