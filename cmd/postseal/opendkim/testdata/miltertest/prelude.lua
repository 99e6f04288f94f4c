-- What the scripts have in common. Each step prints what came back, so that
-- two daemons can be compared line by line. SOCKET is where the daemon listens.

unpack = unpack or table.unpack

local replies = {
	[SMFIR_CONTINUE] = "continue", [SMFIR_ACCEPT] = "accept", [SMFIR_REJECT] = "reject",
	[SMFIR_TEMPFAIL] = "tempfail", [SMFIR_DISCARD] = "discard", [SMFIR_REPLYCODE] = "replycode",
	[SMFIR_SKIP] = "skip",
}

local function say(what, ...)
	mt.echo("  " .. what .. ": " .. table.concat({ ... }, " "))
end

-- step prints the reply to a command, and reports whether the message goes on.
-- That it goes on is printed for the body alone.
local function step(conn, what, err)
	if err ~= nil then
		say(what, "error", err)
		return false
	end
	local reply = mt.getreply(conn)
	local goes_on = reply == SMFIR_CONTINUE or reply == SMFIR_SKIP
	if not goes_on or what == "body" then
		say(what, replies[reply] or tostring(reply))
	end
	return goes_on
end

-- changes prints what the daemon asked for at the end of a message.
local function changes(conn, m)
	for _, name in ipairs({ "DKIM-Signature", "Authentication-Results", "DKIM-Filter", "Original-Recipient" }) do
		local n = 0
		while true do
			local value = mt.getheader(conn, name, n)
			if value == nil then break end
			say(name, value)
			n = n + 1
		end
		for instance = 1, 9 do
			if mt.eom_check(conn, MT_HDRDELETE, name, instance) then say("deleted", name, instance) end
		end
		if mt.eom_check(conn, MT_HDRCHANGE, name) then say("changed", name) end
	end
	for _, rcpt in ipairs(m.rcpt) do
		if mt.eom_check(conn, MT_RCPTDELETE, rcpt) then say("recipient deleted", rcpt) end
	end
	if m.redirect and mt.eom_check(conn, MT_RCPTADD, m.redirect) then say("recipient added", m.redirect) end
	if mt.eom_check(conn, MT_QUARANTINE) then say("quarantine", "yes") end
	if mt.eom_check(conn, MT_BODYCHANGE) then say("body", "changed") end
end

-- deliver sends a message. Its fields, all optional: client {name, address},
-- helo, macros {stage = {name, value, ...}}, from, rcpt {...}, header
-- {{name, value}, ...}, body {chunk, ...}, redirect, a recipient that may be added.
function deliver(name, m)
	mt.echo(name)
	m.client = m.client or { "localhost", "127.0.0.1" }
	m.from = m.from or "<user@example.com>"
	m.rcpt = m.rcpt or { "<friend@example.net>" }
	m.header = m.header or { { "From", "user@example.com" }, { "Date", "Tue, 3 Nov 2026 10:00:00 +0000" }, { "Subject", "a test" } }
	m.body = m.body or { "This is a test.\r\n" }
	local conn = mt.connect(SOCKET, 100, 0.1)
	-- A second set of macros for a stage replaces the first.
	local function macros(stage, command, ...)
		local set = { ... }
		for _, word in ipairs(m.macros and m.macros[stage] or {}) do set[#set + 1] = word end
		if #set > 0 then mt.macro(conn, command, unpack(set)) end
	end
	local function run()
		macros("connect", SMFIC_CONNECT)
		if not step(conn, "connect", mt.conninfo(conn, m.client[1], m.client[2])) then return end
		macros("mail", SMFIC_MAIL, "i", "4XQ1")
		if not step(conn, "mail", mt.mailfrom(conn, m.from)) then return end
		for _, rcpt in ipairs(m.rcpt) do
			macros("rcpt", SMFIC_RCPT)
			if not step(conn, "rcpt", mt.rcptto(conn, rcpt)) then return end
		end
		for _, field in ipairs(m.header) do
			if not step(conn, "header", mt.header(conn, field[1], field[2])) then return end
		end
		if not step(conn, "eoh", mt.eoh(conn)) then return end
		for _, chunk in ipairs(m.body) do
			if not step(conn, "body", mt.bodystring(conn, chunk)) then return end
		end
		step(conn, "eom", mt.eom(conn))
		if mt.getreply(conn) == SMFIR_ACCEPT or mt.getreply(conn) == SMFIR_CONTINUE then changes(conn, m) end
	end
	run()
	mt.disconnect(conn)
end

-- from is a header with this author, and further fields on top of it.
function from(author, ...)
	local header = { ... }
	for _, field in ipairs({ { "From", author }, { "Date", "Tue, 3 Nov 2026 10:00:00 +0000" }, { "Subject", "a test" } }) do
		header[#header + 1] = field
	end
	return header
end
