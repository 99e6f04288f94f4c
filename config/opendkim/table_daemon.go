package opendkim

import "github.com/postseal/postseal/config"

// daemonParameters are about the process, its socket and its files.
func daemonParameters() []parameter {
	return []parameter{
		{name: "AutoRestart", kind: boolean, class: compat, use: func(r *reading, s setting) { r.process.AutoRestart = s.yes }},
		{name: "AutoRestartCount", kind: integer, class: compat, use: func(r *reading, s setting) { r.process.AutoRestartCount = max(0, s.number) }},
		{name: "AutoRestartRate", class: compat, use: (*reading).restartRate},
		{name: "Background", kind: boolean, class: compat, use: func(r *reading, s setting) { r.process.Background = s.yes }},
		{name: "BaseDirectory", class: core}, // see reading.baseDirectory
		{name: "ChangeRootDirectory", class: compat, field: func(c *config.Config) any { return &c.ChangeRootDirectory }},
		{name: "Include", class: core},
		{name: "Mode", class: core, use: (*reading).mode},
		{name: "PidFile", class: core, field: func(c *config.Config) any { return &c.PidFile }},
		{name: "Socket", class: core}, // see reading.socket
		{name: "UMask", kind: integer, class: core, use: func(r *reading, s setting) { r.config.SocketMode = modeOf(s.number) }},
		{name: "UserID", class: core, field: func(c *config.Config) any { return &c.UserID }},
	}
}

// logParameters are about the log.
func logParameters() []parameter {
	return []parameter{
		{name: "LogResults", kind: boolean, class: core, field: func(c *config.Config) any { return &c.LogResults }},
		{name: "LogWhy", kind: boolean, class: core, field: func(c *config.Config) any { return &c.LogWhy }},
		{name: "StdoutLog", kind: boolean, class: useful, field: func(c *config.Config) any { return &c.StdoutLog }},
		{name: "Syslog", kind: boolean, class: core, field: func(c *config.Config) any { return &c.Syslog }},
		{name: "SyslogFacility", class: core, use: (*reading).syslogFacility},
		{name: "SyslogName", class: useful, use: (*reading).syslogName},
		{name: "SyslogSuccess", kind: boolean, class: core, field: func(c *config.Config) any { return &c.SyslogSuccess }},
	}
}
