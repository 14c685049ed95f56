-- Stands before every script that works on logs. A topic's keys are named by appending to its `base`:
--   :meta     epoch|offset of the newest message|bytes of all|why the newest lost one went, `a`ge or `r`oom|
--             when times to live were set|when the ids were turned (0: there are none)|offset at that time
--   :log      list; each message is two of its elements: `when it came|its bytes`, and itself
--   :ids, :ids:old   source|id -> offset; a turn makes the ids the old ones
-- Times are ms of this clock. How epochs are made is told in `log/epoch.rs`. Lua hashes every byte of each string
-- that it makes or is answered: what may be long is put together and asked for as rarely as can be. The first line is
-- another in a Cluster (`script.rs`): there channels have slots.
local PUBLISH, NUMSUB = 'PUBLISH', 'NUMSUB'
local REMEMBERED, IDS_MAX, LONG, META = 86400000, 10000, 4096, '^([^|]*)|(%d+)|(%d+)|(%a)|(%d+)|(%d+)|(%d+)$'
local replica

-- Names the history of this Redis: another after a restart, or where a replica was promoted.
local function history()
  if not replica then
    local info = redis.call('INFO', 'replication')
    local _, at = string.find(info, 'master_replid:', 1, true)
    replica = string.sub(info, at + 1, at + 10)
  end
  return replica
end

local function clock_ms(time) return time[1] * 1000 + math.floor(time[2] / 1000) end

-- The first epoch of a log that begins now, or another one.
local function first_epoch(life, time) return string.format('%s-%s.%x', life, history(), clock_ms(time)) end
local function next_epoch(life, time) return string.format('%s.%x', first_epoch(life, time), time[2]) end

-- Everything of a topic lives for its age, at least, from any moment before this is due again.
local function keep_topic(base, meta, age)
  local ttl = string.format('%.0f', age * 1.25 + 1000)
  redis.call('SET', base .. ':meta', meta, 'PX', string.format('%.0f', math.max(REMEMBERED, 2 * age) + age / 4))
  redis.call('PEXPIRE', base .. ':log', ttl)
  redis.call('PEXPIRE', base .. ':ids', ttl)
end

-- Lets the oldest message go; how many bytes it had, and why it went.
local function drop_oldest(list, valid)
  local came, bytes = string.match(redis.call('LPOP', list), '^(%d+)|(%d+)$')
  redis.call('LTRIM', list, 1, -1)
  return bytes, tonumber(came) < valid and 'a' or 'r'
end

-- When the oldest message came.
local function oldest_came(list)
  return tonumber(string.match(redis.call('LINDEX', list, 0), '^%d+'))
end

-- Appends a message unless its `id` (nil: it has none that could come again) is known. Answers the epoch, the
-- offset, and whether it was known. Numbers are written with `%d`: as Lua writes them by itself takes longer
-- than most of what is done here.
local function append(base, body, id, time, life, messages_max, bytes_max, age)
  local now, ids, list = clock_ms(time), base .. ':ids', base .. ':log'
  local stamp, due = string.format('%d', now), false
  local meta = redis.call('GET', base .. ':meta')
  local epoch, top, bytes, lost, kept, turned, turned_at
  if not meta then
    epoch, top, bytes, lost, kept, turned, turned_at = first_epoch(life, time), 0, 0, 'a', stamp, '0', '0'
    -- Nothing is left, unless somebody else removed the meta alone.
    redis.call('UNLINK', list, ids, ids .. ':old')
  else
    epoch, top, bytes, lost, kept, turned, turned_at = string.match(meta, META)
    if not string.find(epoch, history(), 1, true) then
      epoch = next_epoch(life, time)
      redis.call('SET', base .. ':meta', epoch .. string.match(meta, '|.*'), 'KEEPTTL')
    end
  end
  if id then
    local known = redis.call('HGET', ids, id) or turned_at ~= '0' and redis.call('HGET', ids .. ':old', id)
    if known then return epoch, known, true end
    if turned == '0' or now - turned > age or top - turned_at >= IDS_MAX then
      -- Many are freed in the background; by a rename they would be freed here.
      redis.call('UNLINK', ids .. ':old')
      if redis.call('EXISTS', ids) == 1 then redis.call('RENAME', ids, ids .. ':old') end
      turned, turned_at, due = stamp, top, true
    end
  end

  local offset = string.format('%d', top + 1)
  if id then redis.call('HSET', ids, id, offset) end
  local length, gone = redis.call('RPUSH', list, stamp .. '|' .. #body, body) / 2, nil
  if length == 1 then
    bytes, lost, due = 0, 'a', true
  end
  bytes, due = bytes + #body, due or now - kept > age / 4
  while length > 1 and (length > messages_max or bytes > bytes_max) do
    gone, lost = drop_oldest(list, now - age)
    length, bytes = length - 1, bytes - gone
  end
  if due then
    kept = stamp
    -- Readers leave out what is too old; here some of it goes, so that a step never takes long.
    for _ = 1, 64 do
      if oldest_came(list) >= now - age then break end
      gone, lost = drop_oldest(list, now - age)
      bytes = bytes - gone
    end
  end

  meta = string.format('%s|%s|%d|%s|%s|%s|%s', epoch, offset, bytes, lost, kept, turned, turned_at)
  if due then keep_topic(base, meta, age) else redis.call('SET', base .. ':meta', meta, 'KEEPTTL') end
  return epoch, offset, false
end

-- Whether anybody listens to a channel, if that is asked more cheaply than told.
local function heard(channel, body)
  return #body < LONG or redis.call('PUBSUB', NUMSUB, channel)[2] > 0
end

-- Tells the followers; `head` is what a message of a log begins with on the bus. Keys and channel have one name.
local function tell_logged(base, head, epoch, offset, body)
  if not heard(base, body) then return end
  redis.call(PUBLISH, base, head .. string.char(#epoch) .. epoch .. string.char(#offset) .. offset .. body)
end
