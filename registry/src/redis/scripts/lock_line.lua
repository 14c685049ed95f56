-- What the scripts of a lock share. KEYS lock; the others' names begin with it. The last two of ARGV: what
-- the name of a node's channel begins with, and what a wake begins with.
--   lock     `ends|last|line|token|fence|ttl|owner|claim`, the first five 13, 16, 1, 32 and 16 characters wide;
--            a lock that was released ends with `line|`. Held as long as it is not later than `ends`, ms; kept for `last`, the newest fence.
--            `line` is 'w' while somebody may wait, else '-'
--   waiters  `node|number` -> when it came, us; first in line is first
--   nodes    node -> until when its waiters are believed to be there, ms
--   turn     `ends|waiter` while a waiter has the turn, `0|` while the lock is held; exists while somebody waits
KEYS[2], KEYS[3], KEYS[4] = KEYS[1] .. ':turn', KEYS[1] .. ':waiters', KEYS[1] .. ':nodes'
local TURN, ALIVE, KEPT, WAITERS_MAX = 250, 3000, 10000, 4096
local CLAIM = '^' .. string.rep('[^|]*|', 7) .. '(.*)$'

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000), time[1] * 1000000 + time[2]
end

-- The lock as it stands at `now`: its text and ms left while it is held, else nothing and 0.
local function held(now)
  local lock = redis.call('GET', KEYS[1])
  local left = lock and string.sub(lock, 1, 13) - now or -1
  if left >= 0 then return lock, left end
  return false, 0
end

local function token_of(lock)
  return string.sub(lock, 34, 65)
end

local function keep_line()
  redis.call('PEXPIRE', KEYS[2], KEPT)
  redis.call('PEXPIRE', KEYS[3], KEPT)
  redis.call('PEXPIRE', KEYS[4], KEPT)
end

local function to_the_end(waiter, now_us, condition)
  local last = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')
  local place = math.max(now_us, (tonumber(last[2]) or 0) + 1)
  redis.call('ZADD', KEYS[3], condition, string.format('%d', place), waiter)
end

-- The first in line whose node lives; those before it are removed. With nobody left the line is gone.
local function first_in_line(now)
  local dead = {}
  while true do
    local first = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
    if not first then
      redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
      return nil
    end
    local node = string.match(first, '^[^|]*')
    if dead[node] == nil then
      dead[node] = (tonumber(redis.call('HGET', KEYS[4], node)) or 0) < now
    end
    if not dead[node] then return first end
    redis.call('ZREM', KEYS[3], first)
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
  redis.call('SET', KEYS[2], string.format('%d|%s', now + TURN, first), 'PX', KEPT)
  local node, number = string.match(first, '^([^|]*)|(.*)$')
  redis.call('PUBLISH', ARGV[#ARGV - 1] .. node .. '}', ARGV[#ARGV] .. number)
  return first, TURN, whose == '' and 'free' or 'missed'
end
