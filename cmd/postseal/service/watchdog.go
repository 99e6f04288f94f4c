package service

import (
	"context"
	"log/slog"
	"time"
)

// watch sends the manager a sign of life each time that the daemon has answered
// itself, twice and more in the time in which it wants one, until ctx ends. A daemon
// that does not answer is started again by the manager.
func (m *manager) watch(ctx context.Context, answers func(context.Context) error, log *slog.Logger) {
	again := time.NewTicker(m.watchdog / 4)
	defer again.Stop()
	for {
		check, cancel := context.WithTimeout(ctx, m.watchdog/2)
		err := answers(check)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			m.tell("WATCHDOG=1")
		default:
			log.Error("the daemon does not answer itself; if this goes on, the service manager starts it again", "err", err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}
