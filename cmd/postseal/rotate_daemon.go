package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/postseal/postseal/config/postfix"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
)

// rotatingDaemon is the daemon whose keys rotate: a rotation.Daemon.
type rotatingDaemon struct {
	control milter.Control
	form    form
}

// Ready implements rotation.Daemon. A daemon that does not know the key yet is asked to
// look.
func (d *rotatingDaemon) Ready(ctx context.Context, name string) error {
	for range 2 {
		s, err := d.control.Status(ctx)
		if notRunning(err) {
			return nil
		}
		if err != nil {
			return unreachable(d.control, err)
		}
		if i := slices.IndexFunc(s.Keys, func(k keys.KeyInfo) bool { return k.Name == name }); i >= 0 {
			if k := s.Keys[i]; k.State == keys.StateDisabled {
				return fmt.Errorf("the daemon cannot use the key %s: %s", name, k.Error)
			}
			return nil
		}
		if _, err := d.Reload(ctx); err != nil {
			return err
		}
	}
	return errors.New("the running daemon does not have the key " + name + ": does it read this configuration (-c)?")
}

// Reload implements rotation.Daemon. What nobody could be told may still sign with the
// old key.
func (d *rotatingDaemon) Reload(ctx context.Context) (note string, err error) {
	r, err := d.control.Reload(ctx)
	switch {
	case notRunning(err) && d.form.opendkim:
		return "No postseal runs with this configuration. OpenDKIM signs with the old key until it is told: systemctl reload opendkim (SIGUSR1).", nil
	case notRunning(err):
		return "No daemon runs here with this configuration; one that does elsewhere has to read the tables anew before the old key's record goes.", nil
	case err != nil:
		return "", unreachable(d.control, err)
	case len(r.Problems) > 0:
		return "", errorIn{fmt.Errorf("the daemon has not taken the tables: %s", strings.Join(r.Problems, "; ")), d.form}
	}
	return "", nil
}

func notRunning(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// keepLongEnough is keep, or how long Postfix may keep mail in its queue if that is
// more; is says so then.
func keepLongEnough(ctx context.Context, keep time.Duration) (enough time.Duration, is string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := postfix.Read(ctx, "")
	if err != nil {
		return keep, "" // no Postfix here, or none to be read
	}
	const name = "maximal_queue_lifetime"
	life, ok := queueTime(c.Value(name))
	if !ok || life <= keep {
		return keep, ""
	}
	return life, fmt.Sprintf("--keep %s is less than Postfix keeps mail (%s = %s): records of old keys stay for %s", spanWords(keep), name, c.Value(name), spanWords(life))
}

// queueTime reads a time of Postfix, in days unless it has a letter (postconf(5)).
func queueTime(s string) (time.Duration, bool) {
	unit, number := aDay, s
	if s != "" {
		letters := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': aDay, 'w': 7 * aDay}
		if u, ok := letters[s[len(s)-1]]; ok {
			unit, number = u, s[:len(s)-1]
		}
	}
	n, err := strconv.ParseInt(number, 10, 32)
	return min(time.Duration(n), 3660*aDay/unit) * unit, err == nil && n >= 0
}
