-- Note something, where what is noted is what it is thought to be, or nothing where that is empty. KEYS: the note.
-- ARGV: what it is thought to be, what it is to be, milliseconds that it stays if it is to leave.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
if ARGV[3] then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
