import { gaussian, type Random } from '../../core/random.js';
import { exponential } from '../../model/train/generator/draws.js';
import { autoregression, bell, daily, type Kind } from './weeks.js';

/**
 * What sensors and meters in the field send, rounded as they round it, none of it broken. Much of it hardly ever moves (rain, a washing machine, a setpoint), goes one way for days and is then set back (a memory,
 * a battery, the energy of a day) or has a heavy tail: what the benchmarks of single faults have little of.
 */
export const SENSORS: Record<string, Kind> = {
  'energy of the day, kWh': (random, periodS) => {
    let used = 0;
    let of = -1;
    return (hour, _weekday, day) => {
      if (day !== of) used = 0;
      of = day;
      used += (0.3 + 1.2 * bell(hour, 19, 2) + 0.2 * random()) * (periodS / 3600);
      return round(used, 0.01);
    };
  },
  /** A counter of 16 bits. */
  'pulses': (random, periodS) => {
    let count = 60_000 * random();
    return (hour) => {
      count = (count + (20 + 10 * Math.sin((hour / 12) * Math.PI) + 3 * gaussian(random)) * (periodS / 60)) % 65_536;
      return Math.floor(count);
    };
  },
  'water meter, l': (random, periodS) => {
    let total = 1234;
    return (hour) => {
      if (happens(random, (hour > 6 && hour < 23 ? 7.2 : 0.6) * (periodS / 3600))) total += Math.round(8 + 40 * random() ** 2);
      return total;
    };
  },
  /** Every sixty hours, for some hours. */
  'rain, mm': (random, periodS) => {
    let wetHours = 0;
    return () => {
      if (wetHours > 0) wetHours -= periodS / 3600;
      else if (happens(random, periodS / 3600 / 60)) wetHours = 1 + 6 * random();
      return wetHours > 0 ? round(exponential(random, 0.4), 0.2) : 0;
    };
  },
  /** Charged by the sun, now more, now less. */
  'battery, %': (random, periodS) => {
    const weather = daily(() => 0.3 + 0.7 * random());
    let charge = 80;
    return (hour, _weekday, day) => {
      charge += (14 * weather(day) * sun(hour, 12.5, 5) - 2.2) * (periodS / 3600);
      charge = Math.min(100, Math.max(5, charge));
      return Math.round(charge);
    };
  },
  /** It runs down over months. */
  'battery, V': (random) => (hour, _weekday, day) => round(3.6 - 0.004 * (day + hour / 24) + 0.02 * Math.cos(((hour - 15) / 12) * Math.PI) + 0.003 * gaussian(random), 0.01),
  'speed, km/h': (random, periodS) => {
    let minutes = 0;
    let drives = false;
    let speed = 0;
    return (hour, weekday) => {
      if (minutes <= 0) {
        drives = !drives && weekday < 6 && hour > 6 && hour < 19 && random() < 0.5;
        minutes = drives ? 10 + 60 * random() : 20 + 100 * random();
      }
      minutes -= periodS / 60;
      speed = drives ? Math.max(0, 0.8 * speed + 0.2 * (50 + 30 * gaussian(random))) : 0;
      return Math.round(speed);
    };
  },
  'processor, %': (random) => {
    const load = autoregression(random, 0.95);
    return (hour) => round(Math.min(100, Math.max(0, 12 + (hour > 8 && hour < 18 ? 10 : 0) + 5 * load() + (random() < 0.01 ? 40 * random() : 0))), 0.1);
  },
  /** It fills, and is emptied by a restart. */
  'memory, %': (random, periodS) => {
    const noise = autoregression(random, 0.9);
    let used = 30;
    return () => {
      used += 0.15 * (periodS / 3600);
      if (used > 75) used = 30;
      return round(used + noise(), 0.1);
    };
  },
  'signal, dBm': (random) => {
    const slow = autoregression(random, 0.98);
    return () => Math.round(-70 + 5 * slow() + 2 * gaussian(random));
  },
  'bathroom, % RH': (random, periodS) => {
    const weather = autoregression(random, 0.998);
    let shower = 0;
    return (hour) => {
      if (Math.abs(hour - 7) < 0.1 + periodS / 7200 && random() < 0.8 * Math.min(1, periodS / 1200)) shower = 25;
      shower *= Math.exp(-periodS / 1440);
      return round(Math.min(99, 45 + 6 * weather() + shower), 0.5);
    };
  },
  'pump, A': (random, periodS) => {
    let minutes = 0;
    let runs = false;
    return (hour) => {
      if (minutes <= 0) {
        runs = !runs;
        minutes = runs ? 8 + 4 * random() : 20 + 60 * random() * (hour > 6 && hour < 22 ? 1 : 3);
      }
      minutes -= periodS / 60;
      return runs ? 6.2 + 0.1 * gaussian(random) : 0.02 * Math.abs(gaussian(random));
    };
  },
  /** Set anew every thirty hours: each is a level that lasts. */
  'setpoint, °C': (random, periodS) => {
    let value = 20;
    return () => {
      if (happens(random, periodS / 3600 / 30)) value = 18 + Math.floor(6 * random()) / 2;
      return value;
    };
  },
  'air pressure, hPa': (random) => {
    const fast = autoregression(random, 0.9998);
    const slow = autoregression(random, 0.9999);
    return () => round(1013 + 6 * fast() + 8 * slow(), 0.1);
  },
  'wind, m/s': (random) => {
    const weather = autoregression(random, 0.995);
    return () => round(Math.max(0, Math.exp(1 + 0.8 * weather()) * (1 + 0.3 * gaussian(random)) - 0.5), 0.1);
  },
  'light, lx': (random) => {
    const weather = daily(() => 0.15 + 0.85 * random());
    const clouds = autoregression(random, 0.95);
    return (hour, _weekday, day) => Math.round(40_000 * weather(day) * sun(hour, 12.5, 5.5) * Math.exp(0.3 * clouds()));
  },
  /** Every other evening or so, for one to four hours. */
  'charger, kW': (random) => {
    const begins = daily(() => (random() < 0.5 ? 18 + 3 * random() : Infinity));
    const lasts = daily(() => 1 + 3 * random());
    return (hour, _weekday, day) => (hour > begins(day) && hour < begins(day) + lasts(day) ? 7.2 + 0.05 * gaussian(random) : 0);
  },
  /** Every third day or so: it heats, washes, spins. */
  'washing machine, W': (random) => {
    const begins = daily(() => (random() < 0.35 ? 8 + 12 * random() : Infinity));
    return (hour, _weekday, day) => {
      const hours = hour - begins(day);
      if (hours < 0 || hours > 1.6) return 1.2;
      return hours < 0.4 ? 2000 : hours < 1.3 ? 150 + 50 * gaussian(random) : 450;
    };
  },
  'round trip, ms': (random) => () => round(20 + 4 * Math.exp(0.6 * gaussian(random)) + (random() < 0.003 ? 200 * random() : 0), 0.1),
};

function round(x: number, quantum: number): number {
  return Math.round(x / quantum) * quantum;
}

/** Whether something that comes so often a reading comes with this one. */
function happens(random: Random, rate: number): boolean {
  return random() < 1 - Math.exp(-rate);
}

/** Of a day with so many hours from noon to dusk. */
function sun(hour: number, noon: number, half: number): number {
  return Math.abs(hour - noon) < half ? Math.cos(((hour - noon) / half) * (Math.PI / 2)) : 0;
}
