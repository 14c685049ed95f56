-- KEYS topic; ARGV offset, most messages, most bytes. Answers the meta (empty: there is no log), how many
-- messages are kept, and of the oldest of them and then of those behind the offset: when it came, and itself (not of
-- the oldest).
local meta, list = redis.call('GET', KEYS[1] .. ':meta') or '', KEYS[1] .. ':log'
local length = redis.call('LLEN', list) / 2
if meta == '' or length == 0 then return { meta, length, '', {} } end
local function came(element) return string.match(element, '^%d+') end
local oldest = came(redis.call('LINDEX', list, 0))
local skipped = ARGV[1] - (string.match(meta, '|(%d+)|') - length)
if skipped < 0 or skipped >= length then return { meta, length, oldest, {} } end
local page, bytes = redis.call('LRANGE', list, 2 * skipped, 2 * (skipped + ARGV[2]) - 1), 0
for number = 1, #page, 2 do
  bytes = bytes + #page[number + 1]
  if number > 1 and bytes > tonumber(ARGV[3]) then
    return { meta, length, oldest, { unpack(page, 1, number - 1) } }
  end
end
return { meta, length, oldest, page }
