-- Note something, where what is noted is what it is thought to be; nothing: an empty text. KEYS: of the note.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
