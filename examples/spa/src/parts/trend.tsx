import { useWords } from '../language';

/** A line over days, 0 to 100 %. Drawn here: a library of charts weighs more than the rest of the page. */
export function Trend({ label, points }: { label: string; points: { day: string; share: number }[] }) {
  const { t, number, date, language } = useWords();
  if (points.length === 0) return <p className="muted">{t('dashboard.noTrend')}</p>;
  // Drawn in the page's own pixels, so that its letters are as large as others.
  const width = matchMedia('(max-width: 44rem)').matches ? 330 : 1000;
  const [height, left, bottom, top] = [190, 46, 26, 12];
  const times = points.map(point => Date.parse(point.day));
  const begin = times[0] ?? 0;
  const span = Math.max((times.at(-1) ?? 0) - begin, 1);
  const flip = language === 'ur';
  const x = (i: number) => {
    const along = points.length === 1 ? 0.5 : ((times[i] ?? 0) - begin) / span;
    return flip ? width - left - 8 - along * (width - left - 16) : left + along * (width - left - 16) + 8;
  };
  const y = (share: number) => top + (1 - share) * (height - top - bottom);
  const percent = (share: number) => number(share, { style: 'percent', maximumFractionDigits: 0 });
  const short = (day: string) => date(day, { day: 'numeric', month: 'short', timeZone: 'UTC' });
  const line = points.map((point, i) => `${i ? 'L' : 'M'}${x(i).toFixed(1)} ${y(point.share).toFixed(1)}`).join('');
  const first = points[0];
  const last = points.at(-1);
  return (
    <figure className="trend">
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label} direction="ltr">
        {[0, 0.5, 1].map(share => (
          <g key={share}>
            <line x1={flip ? 0 : left} x2={flip ? width - left : width} y1={y(share)} y2={y(share)} className="grid" />
            <text x={flip ? width - left + 6 : left - 6} y={y(share) + 4} textAnchor={flip ? 'start' : 'end'}>
              {percent(share)}
            </text>
          </g>
        ))}
        {points.length > 1 && <path d={line} className="line" />}
        {points.map((point, i) => (
          <circle key={point.day} cx={x(i)} cy={y(point.share)} r="4">
            <title>{`${short(point.day)}: ${percent(point.share)}`}</title>
          </circle>
        ))}
        {first && points.length > 1 && (
          <text x={x(0)} y={height - 6} textAnchor={flip ? 'end' : 'start'}>
            {short(first.day)}
          </text>
        )}
        {last && (
          <text x={x(points.length - 1)} y={height - 6} textAnchor={points.length === 1 ? 'middle' : flip ? 'start' : 'end'}>
            {short(last.day)}
          </text>
        )}
      </svg>
      <details>
        <summary>{t('dashboard.table')}</summary>
        <table>
          <tbody>
            {points.map(point => (
              <tr key={point.day}>
                <th scope="row">{short(point.day)}</th>
                <td>{percent(point.share)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}
