-- KEYS what the fleet's names begin with; ARGV pool, longitude, latitude, metres, how many are wanted, and the
-- longitude at which the area goes on beyond the date line, or nothing: no search crosses it. Answers the
-- records of the nearest who wait, and some more; all of the area beyond that line. Those whose time is over are
-- left out; should they be many, it looks at more. A search costs by how many are in the area, so that a wide
-- one begins in the middle, where the wanted would be if all were spread evenly.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local index, wanted, metres = KEYS[1] .. ':pool:' .. ARGV[1] .. ':geo', tonumber(ARGV[5]), tonumber(ARGV[4])
local SPARE, ALL, AT_ONCE, NARROWEST_M = 16, 1000000, 1000, 250

local function search(longitude, radius, count)
  return redis.call(
    'GEOSEARCH', index, 'FROMLONLAT', longitude, ARGV[3], 'BYRADIUS', radius, 'm', 'ASC', 'COUNT', count)
end

local function on_both_sides()
  local ids, seen = search(ARGV[2], metres, ALL), {}
  for _, id in ipairs(ids) do seen[id] = true end
  for _, id in ipairs(search(ARGV[6], metres, ALL)) do
    if not seen[id] then ids[#ids + 1] = id end
  end
  return ids
end

local function records_of(ids)
  local found = {}
  for first = 1, #ids, AT_ONCE do
    local keys = {}
    for number = first, math.min(first + AT_ONCE - 1, #ids) do
      keys[#keys + 1] = KEYS[1] .. ':p:' .. ids[number]
    end
    for _, record in ipairs(redis.call('MGET', unpack(keys))) do
      local expires = tonumber(string.match(record, '^w|[^|]*|(%d*)'))
      if not expires or expires > now then found[#found + 1] = record end
    end
  end
  return found
end

if ARGV[6] ~= '' then return records_of(on_both_sides()) end
local count = wanted + SPARE
local share = count / math.max(redis.call('ZCARD', index), 1)
local radius = math.min(metres, math.max(NARROWEST_M, metres * math.sqrt(share)))
while true do
  local ids = search(ARGV[2], radius, count)
  local found = (#ids >= wanted or radius == metres) and records_of(ids) or {}
  if #found >= wanted then return found end
  if #ids == count then
    count = count * 4
  elseif radius < metres then
    radius = math.min(metres, radius * 2)
  else
    return found
  end
end
