-- Stands before every script that changes a fleet, behind a line that says whether its changes are `noted`, and
-- behind what appends to logs.
-- KEYS what the fleet's names begin with; ARGV 1 deadline in ms of this clock, 2 `tenant|life` and what the logs of
-- each kind of pool keep, and where passengers are told of: 3 all but the last four digits of the messages' ids,
-- 4 what stands between an id and the data, 5 the time as text. Answers 'late' behind the deadline: whoever asked
-- has given up, and may have asked again.
local fleet = KEYS[1] .. ':'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return { 'late' } end

local states = { w = 'waiting', b = 'boarded', a = 'alighted', c = 'cancelled', e = 'expired' }

local function ms(number) return string.format('%.0f', number) end

-- The record of a passenger; nil if there is none.
local function read(id)
  local text = redis.call('GET', fleet .. 'p:' .. id)
  if not text then return nil end
  local p = { id = id }
  p.state, p.pool, p.expires, p.vehicle, p.fence, p.boarded, p.alighted, p.shown, p.seats, p.fixed, p.also, p.request =
    string.match(text, '^(%a)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^\n]*)\n([^\n]*)\n([^\n]*)\n(.*)$')
  return p
end

local function write(p)
  local head = table.concat(
    { p.state, p.pool, p.expires, p.vehicle, p.fence, p.boarded, p.alighted, p.shown, p.seats }, '|')
  redis.call('SET', fleet .. 'p:' .. p.id, table.concat({ head, p.fixed, p.also, p.request }, '\n'))
end

local function text8(text) return string.char(#text) .. text end

-- Raises the version of a pool, so that nobody takes an older answer for its.
local function changed(pool)
  redis.call('HINCRBY', fleet .. 'versions', pool, 1)
end

local tenant, life

-- Stores a message about a pool that was `changed` in the pool's log and tells its followers. Those of its kind's
-- namespace who do not follow the pool get a copy.
local function publish(pool, message)
  local kind = string.match(pool, '^%a+')
  if not tenant then tenant, life = string.match(ARGV[2], '^([^|]*)|([^|]*)') end
  local messages_max, bytes_max, age = string.match(ARGV[2], '|' .. kind .. '=(%d+),(%d+),(%d+)')
  local epoch, offset = append(fleet .. pool, message, nil, time, life,
    tonumber(messages_max), tonumber(bytes_max), tonumber(age))
  tell_logged(fleet .. pool, '\4' .. text8(tenant) .. text8(pool), epoch, offset, message)
  local namespace = 'namespace:' .. kind .. '-reservoir'
  if heard(fleet .. namespace, message) then
    redis.call(PUBLISH, fleet .. namespace, '\2' .. text8(tenant) .. text8(namespace) .. text8(pool) .. message)
  end
end

local function quoted(text)
  if text == '' then return 'null' end
  return '"' .. text .. '"'
end

-- Tells what became of a passenger, as it is now, and leaves a line in the outbox of the store behind the
-- cluster; the number tells the messages of a script apart.
local function tell(number, p)
  if noted then redis.call('ZADD', fleet .. 'outbox', redis.call('INCR', fleet .. 'outbox:last'), p.id) end
  changed(p.pool)
  publish(p.pool, table.concat({
    '{"id":"', ARGV[3], string.format('%04x', number), ARGV[4], '{', p.fixed,
    ',"state":"', states[p.state], '","vehicle_id":', quoted(p.vehicle),
    ',"fence":', p.fence == '' and 'null' or p.fence,
    ',"boarded_at":', quoted(p.boarded), ',"alighted_at":', quoted(p.alighted), ',', p.also,
    ',"timestamp":"', ARGV[5], '"},"target":"', p.pool, '","correlationId":null,"metadata":{}}',
  }))
end

-- The passenger is in the pool no longer.
local function wait_over(p)
  redis.call('ZREM', fleet .. 'pool:' .. p.pool .. ':geo', p.id)
end

-- Remembers one whose life is over for so many ms more.
local function keep(p, kept_ms)
  redis.call('ZADD', fleet .. 'due', ms(now + kept_ms), p.id)
end
