-- ARGV 3 vehicle, 4 seats, 5 what else is known of it. Answers 'done' and who is on board, in the order of
-- boarding, or 'on_board' and how many, if they are more than the seats.
local vehicle = fleet .. 'v:' .. ARGV[3]
local on_board = redis.call('ZRANGE', vehicle .. ':on', 0, -1)
if #on_board > tonumber(ARGV[4]) then return { 'on_board', ms(#on_board) } end
redis.call('SET', vehicle, ARGV[4] .. '\n' .. ARGV[5])
table.insert(on_board, 1, 'done')
return on_board
