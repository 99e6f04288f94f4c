package opendkim

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/postseal/postseal/cmd/postseal/service"
	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/opendkim"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/proof"
)

// check is -n: silent and 0 where the daemon would start. The socket is not
// opened and keys of KeyTable are not read, as OpenDKIM has it.
func (c call) check(o *daemonOptions) (exit int) {
	f, err := o.load(true)
	if err == nil {
		err = keyFileProblem(f.Config, o.conf)
	}
	if err != nil {
		return c.end(&service.Error{Exit: exitConfig, Err: err})
	}
	quiet := slog.New(slog.DiscardHandler)
	uid := os.Geteuid()
	if user, err := service.FindUser(f.Config.UserID); err == nil {
		uid = user
	}
	_, err = milter.Load(f.Config, milter.Environment{Keys: keys.NewCache(0, proof.Prove, quiet), Log: quiet, Signer: &uid})
	if err != nil {
		return c.end(&service.Error{Exit: exitConfig, Err: opendkim.In(o.conf, err)})
	}
	return exitOK
}

// keyFileProblem says why KeyFile cannot be used, in OpenDKIM's words. It has to
// be there, readable for who starts the daemon, and safe for UserID.
func keyFileProblem(cfg *config.Config, conf string) error {
	if cfg.KeyFile == "" || cfg.KeyTable.IsSet() {
		return nil
	}
	path := cfg.Path(cfg.KeyFile)
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %s: open(): %s", conf, cfg.KeyFile, strerror(err))
	}
	f.Close()
	uid, err := service.FindUser(cfg.UserID)
	if err != nil {
		return fmt.Errorf("%s: %s: no such user", conf, cfg.UserID)
	}
	var unsafe *keys.UnsafeError
	if err := keys.CheckSafe(path, uid); cfg.RequireSafeKeys && errors.As(err, &unsafe) {
		return fmt.Errorf("%s: %s", conf, unsafe.Reason)
	}
	return nil
}

// printValue is -e.
func (c call) printValue(o *daemonOptions) (exit int) {
	f, err := o.load(true)
	if err != nil {
		return c.end(&service.Error{Exit: exitConfig, Err: err})
	}
	value, set, known := f.Get(o.extract)
	switch {
	case !known:
		return exitDataErr
	case !set:
		return exitConfig
	}
	fmt.Fprintln(c.out, value)
	return exitOK
}
