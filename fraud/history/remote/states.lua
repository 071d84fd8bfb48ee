-- How the scripts of states begin. KEYS: facts | ... ARGV: facts, a plan (MessagePack):
--   {layouts {size, keep, windows {width, ring, counts, frauds, sums, values}}, the layout of each state's key, rows,
--    milliseconds that what is remembered of them stays}

local plan = cmsgpack.unpack(ARGV[2])
local layouts, of_key, rows, stay = plan[1], plan[2], plan[3], plan[4]

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('NOFACTS') end

local function bucket(time, width)
  local rest = math.fmod(time, width)
  if rest < 0 then rest = rest + width end
  return (time - rest) / width
end

