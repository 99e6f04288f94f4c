// Package deploy is what an installation needs beside the program.
package deploy

import _ "embed"

// Example is postseal.toml with every setting, its default and what it is for.
//
//go:embed postseal.toml
var Example string

// Service and Socket are the units of systemd, as a package installs them, and
// RotateService and RotateTimer those that rotate keys.
var (
	//go:embed systemd/postseal.service
	Service string
	//go:embed systemd/postseal.socket
	Socket string
	//go:embed systemd/postseal-rotate.service
	RotateService string
	//go:embed systemd/postseal-rotate.timer
	RotateTimer string
)
