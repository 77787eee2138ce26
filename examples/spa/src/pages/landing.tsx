import { Link } from 'wouter';
import { useWords } from '../language';
import { Page } from '../parts/shell';
import { useSession } from '../parts/viewer';
import { paths } from '../routes';

/** What this is. Built into the page, so that it is there before any script. */
export function Landing() {
  const { t } = useWords();
  const { viewer } = useSession();
  return (
    <Page title={t('landing.title')} wide>
      <section className="hero">
        <div>
          <p className="eyebrow">{t('landing.eyebrow')}</p>
          <h1>{t('landing.title')}</h1>
          <p className="lead">{t('landing.lead')}</p>
          <p className="row">
            {viewer ? (
              <Link href={paths.catalogue} className="button primary large">
                {t('landing.continue')}
              </Link>
            ) : (
              <Link href={paths.register} className="button primary large">
                {t('landing.start')}
              </Link>
            )}
            <Link href={paths.catalogue} className="button large">
              {t('landing.look')}
            </Link>
          </p>
        </div>
        <div className="sheet" aria-hidden="true">
          <p className="sheet-top">
            <span>{t('landing.sample.number')}</span>
            <span className="chip">42:10</span>
          </p>
          <p className="sheet-question">{t('landing.sample.question')}</p>
          <ol>
            <li>
              <b>A</b> {t('landing.sample.a')}
            </li>
            <li className="chosen">
              <b>B</b> {t('landing.sample.b')}
            </li>
            <li>
              <b>C</b> {t('landing.sample.c')}
            </li>
            <li>
              <b>D</b> {t('landing.sample.d')}
            </li>
          </ol>
          <p className="sheet-foot">{t('landing.sample.saved')}</p>
        </div>
      </section>
      <section className="promises">
        <div>
          <h2>{t('landing.one.title')}</h2>
          <p>{t('landing.one.text')}</p>
        </div>
        <div>
          <h2>{t('landing.two.title')}</h2>
          <p>{t('landing.two.text')}</p>
        </div>
        <div>
          <h2>{t('landing.three.title')}</h2>
          <p>{t('landing.three.text')}</p>
        </div>
      </section>
    </Page>
  );
}
