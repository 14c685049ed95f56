-- ARGV 3 how many passengers; of each: id, pool, longitude, latitude, end of the wait or nothing, record; then
-- messages: of each its pool, and itself. Answers 'done', or 'exists' and who does; then nothing was changed.
-- Several members go by one command; what one command takes is bounded by the stack of Lua.
local count, AT_ONCE = tonumber(ARGV[3]), 3000

local function in_parts(command, key, args)
  for first = 1, #args, AT_ONCE do
    redis.call(command, key, unpack(args, first, math.min(first + AT_ONCE - 1, #args)))
  end
end

local records, all, due, pools = {}, {}, {}, {}
for number = 1, count do
  local at = 4 + (number - 1) * 6
  local id, pool, expires = ARGV[at], ARGV[at + 1], ARGV[at + 4]
  local of_pool = pools[pool]
  if not of_pool then
    of_pool = { places = {}, all = {} }
    pools[pool] = of_pool
  end
  local places, members = of_pool.places, of_pool.all
  places[#places + 1], places[#places + 2], places[#places + 3] = ARGV[at + 2], ARGV[at + 3], id
  members[#members + 1], members[#members + 2] = '0', id
  all[#all + 1], all[#all + 2] = '0', id
  if expires ~= '' then due[#due + 1], due[#due + 2] = expires, id end
  records[#records + 1], records[#records + 2] = fleet .. 'p:' .. id, ARGV[at + 5]
end
for first = 1, #records, AT_ONCE do
  local last = math.min(first + AT_ONCE - 1, #records)
  if redis.call('MSETNX', unpack(records, first, last)) == 0 then
    for written = 1, first - 1, 2 do redis.call('DEL', records[written]) end
    for at = first, last, 2 do
      if redis.call('EXISTS', records[at]) == 1 then return { 'exists', ARGV[4 + (at - 1) * 3] } end
    end
  end
end
for pool, of_pool in pairs(pools) do
  in_parts('GEOADD', fleet .. 'pool:' .. pool .. ':geo', of_pool.places)
  in_parts('ZADD', fleet .. 'pool:' .. pool .. ':all', of_pool.all)
  changed(pool)
end
in_parts('ZADD', fleet .. 'all', all)
in_parts('ZADD', fleet .. 'due', due)
for at = 4 + count * 6, #ARGV, 2 do publish(ARGV[at], ARGV[at + 1]) end
return { 'done' }
