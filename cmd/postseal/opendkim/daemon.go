package opendkim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/postseal/postseal/cmd/postseal/service"
	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/opendkim"
	"github.com/postseal/postseal/milter"
)

// defaultConf is read where no -x names another file, if it is there.
const defaultConf = "/etc/opendkim.conf"

// sandboxVariable in the environment, where it is 1 or true, does for this command
// what --sandbox does for postseal serve: the flags here are OpenDKIM's.
const sandboxVariable = opendkim.SandboxVariable

// daemonFlags are the letters of opendkim(8). A letter with a parameter stands
// for that parameter of opendkim.conf; of those without a value, for "yes".
var daemonFlags = []struct {
	letter    byte
	value     string // what the usage calls it; empty for none
	parameter string
	text      string
}{
	{'A', "", "AutoRestart", "start the daemon again when it dies"},
	{'b', "modes", "Mode", "s signs, v verifies, sv both"},
	{'c', "canon", "Canonicalization", "canonicalization of signatures"},
	{'d', "domlist", "Domain", "domains to sign for"},
	{'D', "", "SubDomains", "sign for their subdomains, too"},
	{'e', "name", "", "print the value of a parameter and exit"},
	{'f', "", "", "stay in the foreground"},
	{'F', "time", "", "time of signatures, for -t"},
	{'k', "keyfile", "KeyFile", "private key"},
	{'l', "", "Syslog", "log to syslog"},
	{'L', "limit", "Minimum", "how much of a body l= has to cover"},
	{'n', "", "", "check the configuration and exit"},
	{'o', "hdrlist", "OmitHeaders", "header fields not to sign"},
	{'p', "socket", "Socket", "where the MTA connects"},
	{'P', "pidfile", "PidFile", "file for the process id"},
	{'Q', "", "", "look up in a data set, asked on standard input"},
	{'r', "", "RequiredHeaders", "reject mail without the fields of RFC 5322"},
	{'s', "selector", "Selector", "selector of the key"},
	{'S', "signalg", "SignatureAlgorithm", "algorithm of signatures"},
	{'t', "testfile", "", "sign or verify the messages of files"},
	{'T', "timeout", "DNSTimeout", "seconds for DNS"},
	{'u', "userid", "UserID", "user to become"},
	{'v', "", "", "tell more with -t; -vv names the configuration file"},
	{'V', "", "", "print the version and exit"},
	{'W', "", "LogWhy", "log why mail is signed or not"},
	{'x', "conffile", "", "configuration file"},
	{'X', "", "", "take removed parameters (they are always taken)"},
}

// daemonOptions is a command line of opendkim(8).
type daemonOptions struct {
	conf      string
	overrides []opendkim.Setting
	flags     map[byte]int // how often each without a parameter was given
	extract   string
	files     string
	fixed     int64
}

// daemon is opendkim(8).
func daemon(c call) int {
	o, exit := c.daemonOptions()
	if o == nil {
		return exit
	}
	if o.flags['V'] > 0 {
		return c.printVersion()
	}
	if o.conf == "" {
		o.conf = os.DevNull // there may be flags enough
		if _, err := os.Stat(defaultConf); err == nil {
			o.conf = defaultConf
			if o.flags['v'] > 1 {
				c.complain("using default configfile " + defaultConf)
			}
		}
	}
	switch {
	case o.flags['n'] > 0:
		return c.check(o)
	case o.extract != "":
		return c.printValue(o)
	case o.flags['Q'] > 0:
		return c.queryTest(o)
	case o.files != "":
		return c.testMode(o)
	}
	checked := false
	err := service.Run(context.Background(), service.Options{
		Name: c.name, File: o.conf, Foreground: o.flags['f'] > 0, Lenient: true,
		Version: service.Version(), Stdout: c.out, Stderr: c.err,
		Load: func() (*config.Config, opendkim.Process, error) {
			f, err := o.load(false)
			if err == nil && !checked {
				// A reload may not be able to read it, and does not have to.
				checked, err = true, keyFileProblem(f.Config, o.conf)
			}
			if err != nil {
				return nil, opendkim.Process{}, err
			}
			f.Config.Sandbox, _ = strconv.ParseBool(os.Getenv(sandboxVariable))
			return f.Config, f.Process, nil
		},
	})
	return c.end(err)
}

// load reads the configuration with what the command line overrides, which a
// reload does not undo.
func (o *daemonOptions) load(check bool) (*opendkim.File, error) {
	return opendkim.Load(o.conf, opendkim.Options{Overrides: o.overrides, Defaults: opendkim.DefaultsFile, CheckOnly: check})
}

// daemonOptions reads the command line; nil where the program ends with exit.
func (c call) daemonOptions() (_ *daemonOptions, exit int) {
	var letters strings.Builder
	for _, f := range daemonFlags {
		letters.WriteByte(f.letter)
		if f.value != "" {
			letters.WriteByte(':')
		}
	}
	found, operands, err := getopt(c.args, letters.String())
	if err != nil {
		c.complain(err.Error())
		return nil, c.usage()
	}
	o := &daemonOptions{flags: map[byte]int{}, fixed: -1}
	for _, f := range found {
		at := strings.IndexByte(strings.ReplaceAll(letters.String(), ":", ""), f.letter)
		flag := daemonFlags[at]
		if flag.value != "" && f.value == "" {
			return nil, c.usage()
		}
		value := f.value
		switch f.letter {
		case 'e':
			o.extract = value
		case 't':
			o.files = value
		case 'x':
			o.conf = value
		case 'F':
			if o.fixed, err = strconv.ParseInt(value, 10, 64); err != nil || o.fixed < 0 {
				c.complain("invalid time value")
				return nil, exitUsage
			}
		case 'T':
			if _, err := strconv.ParseUint(value, 10, 31); err != nil {
				c.complain("invalid value for -T")
				return nil, exitUsage
			}
		}
		switch {
		case flag.parameter == "":
			o.flags[f.letter]++
			continue
		case flag.value == "":
			value = "yes"
		}
		o.overrides = append(o.overrides, opendkim.Setting{Name: flag.parameter, Value: value})
	}
	if len(operands) > 0 {
		return nil, c.usage()
	}
	return o, 0
}

// usage prints the flags.
func (c call) usage() (exit int) {
	var b strings.Builder
	fmt.Fprintf(&b, "%[1]s: usage: %[1]s -p socketfile [options]\n", c.name)
	for _, f := range daemonFlags {
		fmt.Fprintf(&b, "\t-%c %-9s\t%s\n", f.letter, f.value, f.text)
	}
	_, _ = c.err.Write([]byte(b.String()))
	return exitUsage
}

// complain prints an error, each of its lines behind the command's name.
func (c call) complain(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(c.err, "%s: %s\n", c.name, line)
	}
}

// end says how the daemon ended.
func (c call) end(err error) (exit int) {
	if err == nil {
		return exitOK
	}
	exit = exitSoftware
	var with *service.Error
	if errors.As(err, &with) {
		exit, err = with.Exit, with.Err
	}
	var conf *opendkim.Error
	if errors.As(err, &conf) {
		exit = conf.Exit
	}
	if err != nil {
		c.complain(err.Error())
		if listen := new(milter.ListenError); errors.As(err, &listen) {
			c.complain("smfi_opensocket() failed")
		}
	}
	return exit
}

// strerror is the system's part of an error in the words of strerror(3).
func strerror(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}
