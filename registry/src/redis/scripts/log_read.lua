-- KEYS topic; ARGV offset, most messages, most bytes. Answers the meta (empty: there is no log), how many
-- messages are kept, when the oldest of them came (empty: there is none), and those behind the offset.
local meta, list = redis.call('GET', KEYS[1] .. ':meta') or '', KEYS[1] .. ':log'
local length = redis.call('LLEN', list)
if meta == '' or length == 0 then return { meta, length, '', {} } end
local oldest = string.sub(redis.call('LINDEX', list, 0), 1, 13)
local skipped = ARGV[1] - (string.match(meta, '|(%d+)|') - length)
if skipped < 0 or skipped >= length then return { meta, length, oldest, {} } end
local following, bytes, page = redis.call('LRANGE', list, skipped, skipped + ARGV[2] - 1), 0, {}
for number, message in ipairs(following) do
  bytes = bytes + #message - 13
  if number > 1 and bytes > tonumber(ARGV[3]) then break end
  page[number] = message
end
return { meta, length, oldest, page }
